"""Answers in JSON, with arrays of float32 written so that reading them gives the same bits."""

from __future__ import annotations

import json
from typing import Any

import orjson
from starlette.responses import Response


class JsonResponse(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """
        Write the content.

        :param content: plain values and arrays of NumPy. A number in float32 gets the fewest digits that stand for it alone.
        """
        return as_json(content)


def as_json(content: Any) -> bytes:
    """
    Write JSON; see :meth:`JsonResponse.render`.

    :param content: plain values and arrays of NumPy.
    """
    try:
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # such as a whole number of more than 64 bits, which a record's own keys may hold
        return json.dumps(content, ensure_ascii=False, default=lambda array: array.tolist()).encode()
