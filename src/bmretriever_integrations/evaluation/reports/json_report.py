"""Results -> a JSON file that is whole at every moment, and from which a cut-off run goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from bmretriever_integrations.evaluation.reports.published import differences
from bmretriever_integrations.evaluation.systems.comparison import Result
from bmretriever_integrations.evaluation.tasks.retrieval import NO_DOCUMENT
from bmretriever_integrations.evaluation.tasks.similarity import AnyTask, SimilarityTask
from bmretriever_integrations.files import write_whole
from bmretriever_integrations.versions import NAME, OF_VECTORS, versions_of

KIND = "bmretriever evaluate"
SCHEMA = 2
PACKAGES = (NAME, "bm25s", "ir-measures", "numpy", *OF_VECTORS)
MAIN_MEASURES = "Main measures"
"""Name of the mean over tasks with different main measures: each task counts by its own."""


def means_over_tasks(results: Sequence[Result], tasks: Sequence[AnyTask]) -> dict[str, dict[str, float]]:
    """
    Average over the tasks.

    :param results: results of any systems.
    :param tasks: all that a system must have done; one that lacks a task has no mean.
    :returns: system -> measure -> mean of the tasks' means, for the measures that all tasks have; where the tasks count by
        different measures, :data:`MAIN_MEASURES` -> the mean of those.
    """
    shared = [measure for measure in tasks[0].measures if all(measure in task.measures for task in tasks)]
    mixed = len({task.measures[0] for task in tasks}) > 1
    main = {task.name: task.measures[0] for task in tasks}
    means: dict[str, dict[str, float]] = {}
    for system in dict.fromkeys(result.system for result in results):
        own = [result for result in results if result.system == system and result.task in main]
        if len(own) == len(tasks):
            means[system] = {measure: round(fmean(r.means[measure] for r in own), 6) for measure in shared}
            if mixed:
                means[system][MAIN_MEASURES] = round(fmean(r.means[main[r.task]] for r in own), 6)
    return means


def write_report(
    path: Path, tasks: Sequence[AnyTask], results: Sequence[Result], pending: Sequence[Result] = ()
) -> None:
    """
    Write the report, all or nothing.

    :param path: the JSON file; replaced if it is there.
    :param tasks: the run's tasks.
    :param results: what is measured so far.
    :param pending: results of an earlier run into the same file, not reached yet; kept until the run ends.
    """
    report = {
        "report": KIND,
        "schema": SCHEMA,
        "versions": versions_of(PACKAGES),
        "tasks": [describe(task) for task in tasks],
        "means": means_over_tasks(results, tasks),
        "published": [asdict(difference) for difference in differences(tasks, results)],
        "results": [asdict(result) for result in results],
        "pending": [asdict(result) for result in pending],
    }
    write_whole(path, (json.dumps(report, ensure_ascii=False, indent=1) + "\n").encode())


def describe(task: AnyTask) -> dict[str, Any]:
    """A task's measures, the one of ``per_query`` first, and its counts, as plain values."""
    same = {"name": task.name, "split": task.split, "measures": list(task.measures), "sha256": task.sha256}
    if isinstance(task, SimilarityTask):
        return {**same, "pairs": len(task.left)}
    return {
        **same,
        "judged_documents_only": task.candidates is not None,
        "documents": len(task.document_ids),
        "queries": len(task.queries),
        "relevant": task.relevant,
        "own_documents_left_out": int((task.own_documents != NO_DOCUMENT).sum()),
        "unknown_queries": task.unknown_queries,
        "unknown_documents": task.unknown_documents,
    }


def read_results(path: Path) -> list[Result]:
    """
    Read the results of an earlier run.

    :param path: the JSON file; if it is not there, there are none.
    :raises ValueError: if the file is something else, which must not be overwritten.
    """
    if not path.exists():
        return []
    try:
        report = json.loads(path.read_bytes())
        if report["report"] != KIND or report["schema"] != SCHEMA:
            raise ValueError(f"it is {report['report']!r}, schema {report['schema']!r}")
        return [Result(**fields) for fields in (*report["results"], *report["pending"])]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} is there and is no report of this command ({error}); name another file, or remove it"
        ) from error
