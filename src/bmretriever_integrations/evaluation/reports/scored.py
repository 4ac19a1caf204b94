"""Say what was scored: the settings that differ from the default, the weights, the task's files, and the date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bmretriever_integrations.evaluation.systems.changed import changed_settings
from bmretriever_integrations.evaluation.systems.comparison import Result
from bmretriever_integrations.evaluation.tasks.similarity import AnyTask
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, TASK_INSTRUCTIONS
from bmretriever_integrations.versions import MADE_BY

DIGITS = 12
"""Digits of a fingerprint or a task's version in print; the JSON file has all 64."""
WORDS: Mapping[str, str] = {
    "truncate_dim": "truncate-dim",
    "max_length": "max-length",
    "asked_dtype": "dtype",
    "vectors": "precision",
    "rescored": "rescore",
}
"""Maps settings to the names that they have as options of the command."""


def changed(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """
    Return the settings of each system that change its ranking and are not the default.

    :param results: the results.
    :returns: a dict of systems, each with its settings. BM25 and baselines have none: their settings are their own.
    """
    found: dict[str, dict[str, Any]] = {result.system: {} for result in results}
    for result in results:
        if "max_length" not in result.settings:  # no engine of this package
            continue
        own = dict(result.settings)
        instruction = own.pop("instruction", None)
        own.pop("hybrid", None)  # the system's name says it, and the JSON file has the rest
        own.pop("dtype")  # the notes have it; here it is named where the user chose it
        found[result.system].update(changed_settings(own))
        if instruction not in (None, TASK_INSTRUCTIONS.get(result.task, DEFAULT_INSTRUCTION)):
            found[result.system]["instruction"] = instruction
    return found


def labels(results: Sequence[Result]) -> dict[str, str]:
    """
    Return the name of each system as it is shown: with its changed settings, by the names of the command's options.

    :param results: the results.
    """
    return {
        system: f"{system} ({', '.join(_words(name, value) for name, value in settings.items())})"
        if settings
        else system
        for system, settings in changed(results).items()
    }


def _words(name: str, value: Any) -> str:
    if name == "instruction":
        return "instruction=own"  # the notes have the sentence
    word = WORDS.get(name, name)
    return word if value is True else f"{word}={value}"


def weights(results: Sequence[Result]) -> list[str]:
    """
    Say which weights each model has: the commit on the hub, the fingerprint of the files, and the number type.

    :param results: the results.
    """
    lines = {}
    for result in results:
        commit, files = result.settings.get("revision"), result.settings.get("files_sha256")
        facts = [f"commit {commit[:DIGITS]}"] if commit else []
        facts += [f"fingerprint {files[:DIGITS]}"] if files else []
        facts += [result.settings["dtype"]] if facts and "dtype" in result.settings else []
        if facts:
            lines[result.system] = f"{result.system}: {', '.join(facts)}"
    return list(lines.values())


def versions(tasks: Sequence[AnyTask]) -> list[str]:
    """
    Say which version of each task was scored.

    :param tasks: the tasks.
    """
    return [f"{task.name}: version {task.sha256[:DIGITS]}, split {task.split}" for task in tasks]


def dated(results: Sequence[Result]) -> str:
    """
    Say when the results were measured, and by which version of this package.

    :param results: the results, at least one.
    """
    days = sorted({result.date[:10] for result in results})
    return f"measured {' to '.join(dict.fromkeys((days[0], days[-1])))} (UTC) by {MADE_BY}"
