"""Compare results with published numbers, where the weights and the data are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bmretriever_integrations.checkpoints import find_checkpoint
from bmretriever_integrations.evaluation.systems.comparison import Result
from bmretriever_integrations.evaluation.tasks.catalogue import TASKS
from bmretriever_integrations.evaluation.tasks.similarity import AnyTask


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One published number and the result of this run."""

    task: str
    """Name of the task."""
    system: str
    """Name of the system in this run."""
    of: str
    """Name of the system in the publication: a checkpoint's short name, or BM25."""
    measure: str
    """Name of the measure."""
    here: float
    """The result of this run."""
    published: float
    """The published number."""
    difference: float
    """``here`` minus ``published``."""
    source: str
    """The publication."""


def differences(tasks: Sequence[AnyTask], results: Sequence[Result]) -> list[Difference]:
    """
    Compare results with the published numbers of the same weights on the same data.

    A model has the published weights if it was loaded from the hub at the commit to which its checkpoint is pinned. The name of
    a folder proves nothing.

    :param tasks: the run's tasks. There are no published numbers for tasks without a record and tasks with other counts than the
        published set.
    :param results: the results.
    """
    found = []
    for task in tasks:
        record = TASKS.get(task.name)
        if record is None or not record.fits(task):
            continue
        for result in results:
            of = _published_name(result)
            if result.task != task.name or of is None:
                continue
            for measure, value in record.published.get(of, {}).items():
                here = result.means[measure]
                found.append(
                    Difference(
                        task=task.name,
                        system=result.system,
                        of=of,
                        measure=measure,
                        here=here,
                        published=value,
                        difference=round(here - value, 6),
                        source=record.source,
                    )
                )
    return found


def _published_name(result: Result) -> str | None:
    """Return "BM25" or the short name of the released checkpoint that was loaded, or None."""
    if result.system == "BM25":
        return "BM25"
    if "hybrid" in result.settings:
        return None
    checkpoint = find_checkpoint(str(result.settings.get("model", "")))
    if checkpoint is None or checkpoint.revision is None or result.settings.get("revision") != checkpoint.revision:
        return None
    return checkpoint.name
