"""JSON files of known shape, with errors that name the file and the place."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def read_json(path: Path, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    """
    Read a whole JSON file.

    :param path: the file.
    :param kind: list or dict, what its outermost value must be.
    :raises ValueError: if it is no JSON, with line and column, or another value, or an object has a key twice.
    """
    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:  # of the JSON, of its encoding, or brackets without end
        raise ValueError(f"{path} is no sound JSON: {error}") from error
    if not isinstance(content, kind):
        raise ValueError(f"{path} must hold a JSON {_name(kind)}, got {_name(type(content))}")
    return content


def take(fields: Any, key: str, kind: type[Any] | tuple[type[Any], ...], where: str) -> Any:
    """
    Take one value out of a JSON object.

    :param fields: the object.
    :param key: the value's name.
    :param kind: the type that it must have, or several.
    :param where: file and place, for the error.
    :raises ValueError: if there is no such value, or it has another type.
    """
    if not isinstance(fields, dict):
        raise ValueError(f"{where}: expected an object with {key!r}, got {_name(type(fields))}")
    if key not in fields:
        raise ValueError(f"{where}: no {key!r}; it has {', '.join(map(repr, fields)) or 'nothing'}")
    if not isinstance(fields[key], kind):
        allowed = " or ".join(dict.fromkeys(map(_name, kind if isinstance(kind, tuple) else (kind,))))
        raise ValueError(f"{where}: {key!r} must be a {allowed}, got {_name(type(fields[key]))}")
    return fields[key]


def only_file(sources: Sequence[Path], what: str) -> Path:
    """
    Check that there is one file.

    :param sources: what the user named.
    :param what: what the one should be, for the error.
    :raises ValueError: if there are more.
    """
    if len(sources) != 1:
        raise ValueError(f"expected one file, {what}; got {len(sources)}")
    return sources[0]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):  # json keeps the last of them, and a record would be lost without a word
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {key!r} comes a second time")
    return fields


def _name(kind: type[Any]) -> str:
    return {
        "dict": "object",
        "list": "list",
        "str": "string",
        "int": "number",
        "float": "number",
        "NoneType": "null",
    }.get(kind.__name__, kind.__name__)
