"""Settings that come from YAML or a command line, checked by pydantic, with errors of one line."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError


class Settings(BaseModel):
    """Base of all settings. Types are strict: YAML gives any type for any key, and nothing is converted in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _name_allowed_keys(cls, given: Any) -> Any:
        if not isinstance(given, cls):
            refuse_unknown(cls, given)
        return given


Filled = TypeVar("Filled", bound=Settings)
BROKEN_SCALARS = (ValueError, AttributeError, LookupError)
"""What PyYAML raises beside its own errors for a scalar that does not fit its tag, such as ``!!bool maybe``."""
SHOWN = 200
"""Most characters of a value that an error shows; YAML's aliases can make a short file a value of any size."""


def refuse_unknown(kind: type[Settings], given: Any, where: str = "") -> None:
    """
    Refuse keys that a class of settings lacks, and name those that it has, which pydantic's own error does not.

    :param kind: the class of the settings.
    :param given: keys and values.
    :param where: file and key; begins the error.
    :raises ValueError: if ``given`` is no mapping, or has an unknown key.
    """
    words = {"where": f"{where}: " if where else "", "allowed": ", ".join(kind.model_fields)}
    if not isinstance(given, dict):
        raise PydanticCustomError("settings_type", "{where}Input should be keys and values ({allowed})", words)
    words["unknown"] = ", ".join(str(key) for key in given if key not in kind.model_fields)
    if words["unknown"]:
        raise PydanticCustomError("unknown", "{where}unknown settings {unknown}; allowed: {allowed}", words)


def fill(kind: type[Filled], given: Any, where: str = "") -> Filled:
    """
    Make settings of keys and values.

    :param kind: the class of the settings.
    :param given: keys and values.
    :param where: file or option that the values come from; begins the error.
    :raises TypeError: if a value is missing or has the wrong type.
    :raises ValueError: if a key is unknown or a value out of range.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = f"{where}: {_sentence(first)}" if where else _sentence(first)
        wrong_type = first["type"] in ("missing", "literal_error", "finite_number") or first["type"].endswith("_type")
        raise (TypeError if wrong_type else ValueError)(message) from None


def _sentence(error: ErrorDetails) -> str:
    """Name the setting, what is allowed and what was given."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).removeprefix(".")
    given, message = error["input"], error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{name} is missing"
    if not message.startswith("Input should "):
        return f"{name}: {message}" if name else message
    message = message.replace("Input should", f"{name} must").replace("valid tuple", "valid list")
    example = " (YAML reads 5e-5 as text: write 5.0e-5)" if isinstance(given, str) and _is_number(given) else ""
    return f"{message}, got {_shown(given)}{example}"


def _shown(given: Any) -> str:
    brief = reprlib.Repr()
    brief.maxlevel, brief.maxstring, brief.maxother, brief.maxlong = 2, SHOWN, SHOWN, SHOWN
    return brief.repr(given)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
    :param where: where the text comes from; begins the error.
    :raises ValueError: if it is no YAML, nests too deep, or has a key twice.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """PyYAML itself takes the last of several equal keys."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
            twice = next((key for key in keys if keys.count(key) > 1), None)
            if twice is not None:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {twice!r} is there twice; remove one of them", node.start_mark
                )
            mapping: dict[Any, Any] = super().construct_mapping(node, deep)
            return mapping

    try:
        return yaml.load(text, Loader)
    except RecursionError:
        raise ValueError(f"{where} is no YAML of settings: it nests too deep") from None
    except (yaml.YAMLError, *BROKEN_SCALARS) as error:
        raise ValueError(f"{where} is no YAML: {error}") from None
