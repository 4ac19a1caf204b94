"""What ``/openapi.json`` says of a route beside its address: the form of its body, examples, and how its errors look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from bmretriever_integrations.serving.errors import TYPES, ApiError

JSON = "application/json"
Documented = dict[int | str, dict[str, Any]]
"""Maps a status to what FastAPI says of an answer with it."""


def documented(form: type[BaseModel], example: Mapping[str, Any]) -> dict[str, Any]:
    """
    Describe the body of a route that reads it itself; FastAPI takes it as ``openapi_extra``.

    :param form: what the body must be.
    :param example: a body that the route takes.
    """
    content = {JSON: {"schema": schema_of(form), "example": dict(example)}}
    return {"requestBody": {"required": True, "content": content}}


def answered(description: str, example: Any, *further: str) -> Documented:
    """
    Describe the answers of a route; FastAPI takes them as ``responses``.

    :param description: what the route gives.
    :param example: an answer.
    :param further: other types of content that the route can give.
    """
    schema = {"type": "array" if isinstance(example, list) else "object"}
    content: dict[str, Any] = {JSON: {"schema": schema, "example": example}}
    content |= {kind: {"schema": {"type": "string"}} for kind in further}
    return {200: {"description": description, "content": content}, "default": _refused()}


def in_path(name: str, description: str, example: str) -> dict[str, Any]:
    """
    Describe a part of a route's address that it reads itself; FastAPI takes it as ``openapi_extra``.

    :param name: its name in the address.
    :param description: what it is.
    :param example: a value.
    """
    schema = {"type": "string"}
    return {
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": description,
                "schema": schema,
                "example": example,
            }
        ]
    }


def schema_of(form: type[BaseModel]) -> dict[str, Any]:
    """
    Return the schema of a form in one piece, as a route's own description has no place for parts that are named elsewhere.

    Titles, which repeat the names of fields in other letters, are left out.

    :param form: the form; no form in it may hold itself.
    """
    schema = form.model_json_schema()
    parts = schema.pop("$defs", {})

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            beside = {key: one for key, one in value.items() if key != "$ref"}
            return whole(parts[value["$ref"].rpartition("/")[2]] | beside)
        return {key: whole(one) for key, one in value.items() if key != "title" or isinstance(one, dict)}

    complete: dict[str, Any] = whole(schema)
    return complete


def complete(app: FastAPI, with_key: bool) -> None:
    """
    Describe all routes, once they are all there.

    :param app: the application.
    :param with_key: whether it answers only those who have a key.
    """
    schema = app.openapi()  # which the application keeps and gives out
    if with_key:
        scheme = {"type": "http", "scheme": "bearer", "description": "The key that the server was started with."}
        schema.setdefault("components", {})["securitySchemes"] = {"key": scheme}
        schema["security"] = [{"key": []}]
        schema["paths"]["/health"]["get"]["security"] = []


def _refused() -> dict[str, Any]:
    """Describe the errors that all routes share."""
    properties: dict[str, Any] = {name: {"type": ["string", "null"]} for name in ("param", "code")}
    properties |= {"message": {"type": "string"}, "type": {"type": "string", "enum": sorted({*TYPES.values()})}}
    message = "the index has no record '99000009'"
    example = ApiError(404, message, param="id", code="record_not_found").body()
    error = {"type": "object", "required": ["message", "type", "param", "code"], "properties": properties}
    schema = {"type": "object", "required": ["error"], "properties": {"error": error}}
    return {"description": "the request is not answered", "content": {JSON: {"schema": schema, "example": example}}}
