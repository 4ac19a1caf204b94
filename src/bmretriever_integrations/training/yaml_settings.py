"""Settings that come from YAML, checked against the annotations of the dataclass that they fill."""

from __future__ import annotations

import math
import types
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Filled = TypeVar("Filled")


def read_mapping(path: Path) -> dict[str, Any]:
    """
    Read keys and values from a YAML file.

    :param path: the file.
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if it is no YAML in UTF-8, or holds anything else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no YAML file at {path}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no YAML: it is not UTF-8: {error}") from error
    content = read_yaml(text, str(path))
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no keys and values, but {type(content).__name__}")
    return content


def read_yaml(text: str, where: str) -> Any:
    """
    Read a YAML value.

    :param text: the YAML.
    :param where: names it in the error.
    :raises ValueError: if it is no YAML.
    """
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is no YAML: {error}") from None


def refuse_unknown(given: Any, kind: type, where: str) -> None:
    """
    Refuse what cannot fill a dataclass.

    :param given: keys and values.
    :param kind: the dataclass.
    :param where: file and key; begins the error.
    :raises TypeError: if it is no mapping.
    :raises ValueError: if it has a key that the dataclass lacks.
    """
    allowed = [setting.name for setting in fields(kind)]
    if not isinstance(given, dict):
        raise TypeError(f"{where}: expected keys and values ({', '.join(allowed)}), got {given!r}")
    unknown = [str(key) for key in given if key not in allowed]
    if unknown:
        raise ValueError(f"{where}: unknown settings {', '.join(unknown)}; allowed: {', '.join(allowed)}")


def fill(kind: type[Filled], given: Any, where: str) -> Filled:
    """
    Make a dataclass of keys and values.

    :param kind: the dataclass.
    :param given: its keys and values.
    :param where: file and key; begins every error.
    :raises TypeError: if it is no mapping, a value is missing or has the wrong type.
    :raises ValueError: if a key is unknown, or a value out of range.
    """
    refuse_unknown(given, kind, where)
    make: Any = kind
    try:
        made: Filled = make(**given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {error}".replace(f"{kind.__name__}.__init__() ", "")) from None
    return made


class Checked:
    """Dataclass whose values are checked against its annotations: YAML gives any type for any key."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for setting in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            _check_type(setting.name, getattr(self, setting.name), hints[setting.name])


def _check_type(name: str, value: Any, hint: Any) -> None:
    if not _fits(value, hint):
        example = " (YAML reads 5e-5 as text: write 5.0e-5)" if isinstance(value, str) and _is_number(value) else ""
        raise TypeError(f"{name} must be {_words(hint)}, got {value!r}{example}")


def _fits(value: Any, hint: Any) -> bool:
    kind = get_origin(hint)
    if kind in (Union, types.UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if kind is Literal:
        return value in get_args(hint)
    if kind is tuple:
        return isinstance(value, tuple) and all(_fits(part, get_args(hint)[0]) for part in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _words(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_words(part) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    names = {float: "a finite number", int: "a whole number", bool: "true or false", str: "text", type(None): "null"}
    return names.get(hint, str(getattr(hint, "__name__", hint)))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
