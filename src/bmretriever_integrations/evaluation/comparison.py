"""Systems x tasks -> results, one after another, each handed over as soon as it is there."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import bmretriever_integrations
from bmretriever_integrations.evaluation.metrics import DEPTH, MAIN_MEASURE, score
from bmretriever_integrations.evaluation.ranking import Positions
from bmretriever_integrations.evaluation.tasks import Task


@dataclass(frozen=True, eq=False)
class Ranked:
    """What a system found."""

    ranking: list[Positions]
    """For each query of the task, in its order, positions of documents, best first."""
    passage_seconds: float
    """Spent on the documents alone: embedding or indexing them."""


class System(Protocol):
    """Something that ranks documents: BM25 or a model."""

    name: str

    def settings(self, task: Task) -> dict[str, Any]:
        """Everything that decides the ranking, as plain values."""
        ...

    def rank(self, task: Task, depth: int) -> Ranked:
        """Find the best documents of each query."""
        ...


@dataclass(frozen=True, kw_only=True)
class Result:
    """One system on one task."""

    task: str
    system: str
    means: dict[str, float]
    """Measure -> mean over the task's queries, 0 to 1."""
    seconds: float
    """From the first text to the last score, loading aside."""
    passages_per_second: float
    settings: dict[str, Any]
    per_query: dict[str, float]
    """Query id -> nDCG@10."""
    key: str
    """Hash of all that decides the numbers: equal keys, equal numbers."""


def compare(systems: Iterable[System], tasks: Sequence[Task], known: Mapping[str, Result]) -> Iterator[Result]:
    """
    Measure every system on every task.

    :param systems: taken one at a time, so that a generator can close each model before it opens the next.
    :param tasks: the tasks.
    :param known: key -> result of an earlier run; what is there is not measured again.
    :returns: an iterator over the results, system by system.
    """
    for system in systems:
        for task in tasks:
            settings = system.settings(task)
            key = _key(task, system.name, settings)
            yield known[key] if key in known else _measure(system, task, settings, key)


def _measure(system: System, task: Task, settings: dict[str, Any], key: str) -> Result:
    started = time.perf_counter()
    ranked = system.rank(task, DEPTH)
    values = score(task, ranked.ranking)
    return Result(
        task=task.name,
        system=system.name,
        means={measure: round(sum(of.values()) / len(of), 6) for measure, of in values.items()},
        seconds=round(time.perf_counter() - started, 3),
        passages_per_second=round(len(task.document_ids) / ranked.passage_seconds, 1),
        settings=settings,
        per_query={query: round(value, 6) for query, value in values[MAIN_MEASURE].items()},
        key=key,
    )


def _key(task: Task, system: str, settings: dict[str, Any]) -> str:
    parts = [bmretriever_integrations.__version__, task.name, task.split, task.sha256, system, settings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
