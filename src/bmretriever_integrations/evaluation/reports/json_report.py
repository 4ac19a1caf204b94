"""Write results to a JSON file. The file is always complete, and an interrupted run continues from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from bmretriever_integrations.evaluation.reports.published import differences
from bmretriever_integrations.evaluation.reports.scored import changed, labels
from bmretriever_integrations.evaluation.systems.comparison import Result
from bmretriever_integrations.evaluation.tasks.similarity import AnyTask, SimilarityTask
from bmretriever_integrations.files import write_whole
from bmretriever_integrations.versions import NAME, OF_VECTORS, versions_of

KIND = "bmretriever evaluate"
"""Marks a JSON file as a report of this command."""
SCHEMA = 3
"""Version of the report's form."""
PACKAGES = (NAME, "bm25s", "ir-measures", "numpy", *OF_VECTORS)
"""Packages whose versions a report contains."""
MAIN_MEASURES = "Main measures"
"""Name of the mean over tasks with different main measures; of each task, its own main measure is averaged."""


def means_over_tasks(results: Sequence[Result], tasks: Sequence[AnyTask]) -> dict[str, dict[str, float]]:
    """
    Average over the tasks.

    :param results: results of any systems.
    :param tasks: the tasks. A system without a result for each task has no mean.
    :returns: a dict of systems. Each has a dict of the measures that all tasks have, with the mean of the tasks' means; and,
        where the tasks have different main measures, the mean of these under :data:`MAIN_MEASURES`.
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
    Write the report. The file has either its old or its new content, even after an error.

    :param path: the JSON file; it is replaced if it exists.
    :param tasks: the run's tasks.
    :param results: the results so far.
    :param pending: results of an earlier run that this run has not reached yet; the file keeps them until the run ends.
    """
    own = changed(results)
    report = {
        "report": KIND,
        "schema": SCHEMA,
        "versions": versions_of(PACKAGES),
        "tasks": [describe(task) for task in tasks],
        "means": means_over_tasks(results, tasks),
        "systems": {name: {"label": label, "changed": own[name]} for name, label in labels(results).items()},
        "published": [asdict(difference) for difference in differences(tasks, results)],
        "results": [asdict(result) for result in results],
        "pending": [asdict(result) for result in pending],
    }
    write_whole(path, (json.dumps(report, ensure_ascii=False, indent=1) + "\n").encode())


def describe(task: AnyTask) -> dict[str, Any]:
    """Return a task's measures, with the measure of ``per_query`` first, and its counts, as plain values."""
    same = {"name": task.name, "split": task.split, "measures": list(task.measures), "sha256": task.sha256}
    if isinstance(task, SimilarityTask):
        return {**same, "pairs": len(task.left)}
    return {
        **same,
        "judged_documents_only": task.candidates is not None,
        "documents": len(task.document_ids),
        "queries": len(task.queries),
        "relevant": task.relevant,
        "own_documents_left_out": task.left_out,
        "queries_with_a_document_id": task.same_ids,
        "unknown_queries": task.unknown_queries,
        "unknown_documents": task.unknown_documents,
    }


def read_results(path: Path) -> list[Result]:
    """
    Read the results of an earlier run.

    :param path: the JSON file; if it does not exist, there are no results.
    :raises ValueError: if the file is not such a report and so must not be overwritten.
    """
    if not path.exists():
        return []
    try:
        report = json.loads(path.read_bytes())
        if report["report"] != KIND or report["schema"] != SCHEMA:
            raise ValueError(f"it is {report['report']!r}, schema {report['schema']!r}")
        return [Result(**fields) for fields in (*report["results"], *report["pending"])]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(
            f"{path} exists and is no report of this command ({error}); name another file, or remove it"
        ) from error
