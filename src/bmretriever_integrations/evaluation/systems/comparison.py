"""Measure systems on tasks, one pair after another, and return each result as soon as it is computed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.evaluation.systems.metrics import DEPTH, correlation, score
from bmretriever_integrations.evaluation.systems.ranking import Positions
from bmretriever_integrations.evaluation.tasks.retrieval import Task
from bmretriever_integrations.evaluation.tasks.similarity import AnyTask, SimilarityTask
from bmretriever_integrations.versions import VERSION


@dataclass(frozen=True, eq=False)
class Ranked:
    """The ranking that a system made for a task."""

    ranking: list[Positions]
    """The positions of the best documents for each query, best first; the queries are in the task's order."""
    passage_seconds: float
    """Seconds that embedding or indexing the documents took."""
    cut_texts: int = 0
    """Number of queries and documents that were longer than the model's maximal length and were cut."""


class System(Protocol):
    """A system that ranks documents: BM25 or a model."""

    name: str
    """The name in the report."""

    def settings(self, task: AnyTask) -> dict[str, Any]:
        """Return everything that decides the ranking, as plain values."""
        ...

    def rank(self, task: Task, depth: int) -> Ranked:
        """Find the best documents of each query."""
        ...


@runtime_checkable
class Compares(Protocol):
    """A system that also computes the similarity of two sentences. BM25 does not, because it needs a corpus."""

    def similarities(self, task: SimilarityTask) -> Vectors:
        """Compute the cosine of each pair's vectors. *Shape:* (pairs,) float32"""
        ...


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one system on one task."""

    task: str
    """Name of the task."""
    system: str
    """Name of the system."""
    means: dict[str, float]
    """Maps each measure to its mean over the queries, 0 to 1; in a similarity task, Spearman's correlation, -1 to 1."""
    seconds: float
    """Seconds from the first text to the last score, without loading the model."""
    passages_per_second: float
    """Passages embedded in a second; sentences in a similarity task."""
    settings: dict[str, Any]
    """The settings of the system."""
    per_query: dict[str, float]
    """Maps each query id to the value of the task's first measure."""
    cut_texts: int
    """Number of queries and documents that an engine cut at its maximal length; 0 for other systems, which do not count them."""
    date: str
    """When it was measured, UTC, in ISO 8601."""
    key: str
    """Hash of everything that decides the numbers: results with equal keys have equal numbers."""


def compare(systems: Iterable[System], tasks: Sequence[AnyTask], known: Mapping[str, Result]) -> Iterator[Result]:
    """
    Measure every system on every task.

    :param systems: the systems. They are taken one at a time, so that a generator can close each model before it opens the next.
    :param tasks: the tasks.
    :param known: maps keys to the results of an earlier run, which are not measured again.
    :returns: an iterator over the results, system by system.
    """
    for system in systems:
        for task in tasks:
            if isinstance(task, SimilarityTask) and not isinstance(system, Compares):
                continue
            settings = system.settings(task)
            key = _key(task, system.name, settings)
            yield known[key] if key in known else _measure(system, task, settings, key)


def _measure(system: System, task: AnyTask, settings: dict[str, Any], key: str) -> Result:
    started = time.perf_counter()
    if isinstance(task, SimilarityTask):
        assert isinstance(system, Compares)  # compare() skips the others
        means = {task.measures[0]: correlation(task, system.similarities(task))}
        seconds = time.perf_counter() - started
        texts, text_seconds, per_query, cut = 2 * len(task.left), seconds, {}, 0
    else:
        ranked = system.rank(task, max(DEPTH, task.most_candidates))
        values = score(task, ranked.ranking)
        seconds = time.perf_counter() - started
        means = {measure: sum(of.values()) / len(of) for measure, of in values.items()}
        texts, text_seconds, per_query = len(task.document_ids), ranked.passage_seconds, values[task.measures[0]]
        cut = ranked.cut_texts
    return Result(
        task=task.name,
        system=system.name,
        means={measure: round(value, 6) for measure, value in means.items()},
        seconds=round(seconds, 3),
        passages_per_second=round(texts / text_seconds, 1),
        settings=settings,
        per_query={query: round(value, 6) for query, value in per_query.items()},
        cut_texts=cut,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        key=key,
    )


def _key(task: AnyTask, system: str, settings: dict[str, Any]) -> str:
    judged_only = isinstance(task, Task) and task.candidates is not None
    left_out = task.left_out if isinstance(task, Task) else 0
    what = [task.name, task.split, task.sha256, task.measures, judged_only, left_out]
    parts = [VERSION, *what, system, settings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
