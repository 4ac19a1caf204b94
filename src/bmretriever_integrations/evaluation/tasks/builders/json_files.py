"""Read JSON files of a known form, with error messages that name the file and the place."""

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
    :param kind: the type that its outermost value must have, list or dict.
    :raises ValueError: if the file is not JSON (with line and column), if its value has another type, or if an object has a key
        twice.
    """
    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:  # wrong JSON, a wrong encoding, or thousands of nested brackets
        raise ValueError(f"{path} is no sound JSON: {error}") from error
    if not isinstance(content, kind):
        raise ValueError(f"{path} must hold a JSON {_name(kind)}, got {_name(type(content))}")
    return content


def take(fields: Any, key: str, kind: type[Any] | tuple[type[Any], ...], where: str) -> Any:
    """
    Return one value of a JSON object.

    :param fields: the object.
    :param key: the value's key.
    :param kind: the type that the value must have, or several types.
    :param where: file and place, for the error.
    :raises ValueError: if the value is missing or has another type.
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
    Check that the user named exactly one file, and return it.

    :param sources: the files that the user named.
    :param what: the name of the expected file, for the error.
    :raises ValueError: if there is not exactly one file.
    """
    if len(sources) != 1:
        raise ValueError(f"expected one file, {what}; got {len(sources)}")
    return sources[0]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):  # json would keep the last value only, and a record would be lost without a message
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
