"""Reads the body of a request into a form, and says clearly what is wrong with it."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from bmretriever_integrations.serving.errors import INVALID, ApiError

MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""What some programs put before a text; JSON has no place for it."""
_HALF = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\xed[\xa0-\xbf]")


class Form(BaseModel):
    """The body of a request. Unknown fields are refused, and nothing is converted: "5" is no number."""

    model_config = ConfigDict(extra="forbid", strict=True)


AnyForm = TypeVar("AnyForm", bound=Form)


async def form_of(request: Request, form: type[AnyForm]) -> AnyForm:
    """
    Read the body of a request.

    :param request: a request whose size was checked.
    :param form: what the body must be.
    :raises ApiError: if it is no JSON, or not that form; the message names the field and what it may be.
    """
    return read_form(await request.body(), form)


def read_form(body: bytes, form: type[AnyForm]) -> AnyForm:
    """
    Read JSON into a form; see :func:`form_of`.

    :param body: the JSON.
    :param form: what it must be.
    """
    try:
        read = form.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error, form, body) from None
    # pydantic takes the last of two fields of one name, and numbers that JSON does not have
    _STRICT.decode(body.decode())
    return read


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in fields if names.count(name) > 1)
        raise ApiError(400, f"{twice!r:.100} is given twice", param=twice[:100], code=INVALID)
    return fields


def _no_number(word: str) -> float:
    raise ApiError(400, f"{word} is no number in JSON", code="invalid_json")


def _number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ApiError(400, f"the number {digits:.100} is too large", code="invalid_json")
    return number


_STRICT = json.JSONDecoder(object_pairs_hook=_each_once, parse_constant=_no_number, parse_float=_number)


def values_of(values: Mapping[str, Any], form: type[AnyForm]) -> AnyForm:
    """
    Put values into a form; see :func:`form_of`.

    :param values: maps the names of fields to values.
    :param form: what they must be.
    """
    try:
        return form.model_validate(values)
    except ValidationError as error:
        raise _refusal(error, form) from None


def _refusal(error: ValidationError, form: type[Form], body: bytes = b"") -> ApiError:
    found = error.errors(include_url=False, include_context=True)
    # a misspelled field says more than that the right one is missing
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    kind = first["type"]
    if kind == "json_invalid":
        reason = _broken(first["msg"].removeprefix("Invalid JSON: "), body)
        return ApiError(400, f"the body is no valid JSON: {reason}", code="invalid_json")
    field = ".".join(map(str, first["loc"]))
    if kind == "extra_forbidden":
        known = ", ".join(_form_around(form, first["loc"]).model_fields)
        message = f"there is no field {field!r:.100}; the fields are: {known}"
        return ApiError(400, message, param=field[:100], code="unknown_parameter")
    if kind == "missing":
        return ApiError(400, f"the field {field!r} is missing", param=field, code="missing_required_parameter")
    given = "" if isinstance(first["input"], dict | list) else f"; given: {first['input']!r:.100}"
    message = f"{field or 'the body'}: {_sentence(first)}{given}"
    return ApiError(400, message, param=field[:100] or None, code=INVALID)


def _broken(reason: str, body: bytes) -> str:
    """Say in other words what a text that ends in half a character is: the parser's words name the symptom alone."""
    if body.startswith(MARKS):
        return "it begins with a byte order mark; send UTF-8 without one"
    if ("hex escape" in reason or "code point" in reason) and _HALF.search(body):
        _, _, place = reason.rpartition(" at ")
        return (
            f"a lone surrogate, which is half of a character such as an emoji, at {place}; cut texts between characters"
        )
    return reason


def _form_around(form: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the form, of those inside each other, to which the last name of a place belongs."""
    for name in place[:-1]:
        field = form.model_fields.get(str(name))
        kinds = () if field is None else (field.annotation, *get_args(field.annotation))
        inner = [one for one in kinds if isinstance(one, type)]
        form = next((one for one in inner if issubclass(one, BaseModel)), form)
    return form


def _sentence(error: ErrorDetails) -> str:
    text = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if text.startswith("Input should "):  # "input" reads as the name of a field
        return text.replace("Input should", "must", 1)
    return text[0].lower() + text[1:]
