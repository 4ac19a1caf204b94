"""One YAML per model size -> the settings of one stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from bmretriever_integrations.training.stages.settings import DataSettings, LoraSettings, StageSettings

STAGES = ("stage1", "stage2")


def load_settings(path: Path, stage: int, overrides: Sequence[str] = ()) -> StageSettings:
    """
    Read one stage from a recipe: the keys above the sections count for both stages, those in a section for one.

    :param path: a YAML file with sections ``stage1`` and ``stage2``.
    :param stage: 1 or 2.
    :param overrides: changes of single values, ``key=value`` or ``stage2.key=value``, the value in YAML. Those of the other stage
        are left alone, so that one command line serves both.
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if it is no YAML mapping, the section is missing, a key is unknown or a value out of range.
    :raises TypeError: if a value has the wrong type.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe at {path}")
    sections = _mapping(path.read_text(encoding="utf-8"), str(path))
    wanted = f"stage{stage}"
    if not isinstance(sections.get(wanted), dict):
        raise ValueError(f"{path} has no section {wanted!r}; its keys are {', '.join(map(str, sections))}")
    shared = {key: value for key, value in sections.items() if key not in STAGES}
    for name in STAGES:  # a mistake in the other stage would come up hours later
        _refuse_unknown(sections.get(name) or {}, StageSettings, f"{path}, {name}")
    _refuse_unknown(shared, StageSettings, str(path))
    given = {**shared, **sections[wanted]}
    for override in overrides:
        _override(given, override, wanted)
    return _settings(given, f"{path}, {wanted}")


def _override(given: dict[str, Any], override: str, wanted: str) -> None:
    import yaml

    key, equals, text = override.partition("=")
    if not equals:
        raise ValueError(f"--set takes key=value, got {override!r}")
    section, dot, inner = key.partition(".")
    if dot and section in STAGES:
        if section != wanted:
            return
        key = inner
    target = given
    *outer, last = key.split(".")
    for name in outer:  # lora.rank
        target[name] = dict(target.get(name) or {})
        target = target[name]
    target[last] = yaml.safe_load(text)


def _settings(given: dict[str, Any], where: str) -> StageSettings:
    _refuse_unknown(given, StageSettings, where)
    values = dict(given)
    if isinstance(values.get("data"), list):
        values["data"] = tuple(_part(DataSettings, source, f"{where}, data") for source in values["data"])
    if values.get("lora") is not None:
        values["lora"] = _part(LoraSettings, values["lora"], f"{where}, lora")
    try:
        return StageSettings(**values)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {error}".replace("StageSettings.__init__() ", "")) from None


def _part(kind: type, given: Any, where: str) -> Any:
    if not isinstance(given, dict):
        raise TypeError(f"{where}: expected keys and values, got {given!r}")
    _refuse_unknown(given, kind, where)
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {error}".replace(f"{kind.__name__}.__init__() ", "")) from None


def _refuse_unknown(given: Any, kind: type, where: str) -> None:
    if not isinstance(given, dict):
        raise TypeError(f"{where}: expected keys and values, got {given!r}")
    allowed = [setting.name for setting in fields(kind)]
    unknown = [str(key) for key in given if key not in allowed]
    if unknown:
        raise ValueError(f"{where}: unknown settings {', '.join(unknown)}; allowed: {', '.join(allowed)}")


def _mapping(text: str, where: str) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is no YAML: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{where} holds no keys and values")
    return content
