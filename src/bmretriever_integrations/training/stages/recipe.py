"""The YAML of a model size (a recipe) -> the settings of one stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bmretriever_integrations.training.stages.settings import StageSettings
from bmretriever_integrations.training.yaml_settings import fill, read_mapping, read_yaml, refuse_unknown

STAGES = ("stage1", "stage2")


def load_settings(path: Path, stage: int, overrides: Sequence[str] = ()) -> StageSettings:
    """
    Read one stage from a recipe: keys outside the sections are for both stages, keys in a section are for one.

    :param path: a YAML file with sections ``stage1`` and ``stage2``.
    :param stage: 1 or 2.
    :param overrides: changes of single values, ``key=value`` or ``stage2.key=value``, the value in YAML. Those for the other
        stage are ignored, so that both stages can be run with the same options.
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if it is no YAML mapping, the section is missing, a key is unknown or a value out of range.
    :raises TypeError: if a value has the wrong type.
    """
    sections = read_mapping(path)
    wanted = f"stage{stage}"
    if wanted not in sections:
        raise ValueError(f"{path} has no section {wanted!r}; its keys are {', '.join(map(str, sections))}")
    if not isinstance(sections[wanted], dict):
        raise ValueError(
            f"{path}: section {wanted!r} must hold keys and values, it holds {type(sections[wanted]).__name__}"
        )
    shared = {key: value for key, value in sections.items() if key not in STAGES}
    for name in STAGES:  # a mistake in the other stage would be found hours later
        refuse_unknown(StageSettings, sections.get(name) or {}, f"{path}, {name}")
    refuse_unknown(StageSettings, shared, str(path))
    given = {**shared, **sections[wanted]}
    for override in overrides:
        _override(given, override, wanted)
    return fill(StageSettings, given, f"{path}, {wanted}")


def _override(given: dict[str, Any], override: str, wanted: str) -> None:
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
        inside = target.get(name) or {}
        if not isinstance(inside, dict):
            raise ValueError(f"--set {override}: {name} is {inside!r} and has no settings of its own")
        target[name] = dict(inside)
        target = target[name]
    target[last] = read_yaml(text, f"--set {override}")
