"""Write results as a Markdown page: a table for each set of measures, the published numbers, and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bmretriever_integrations.evaluation.reports.json_report import MAIN_MEASURES, means_over_tasks
from bmretriever_integrations.evaluation.reports.published import Difference, differences
from bmretriever_integrations.evaluation.reports.scored import labels
from bmretriever_integrations.evaluation.reports.table import grouped, notes
from bmretriever_integrations.evaluation.systems.comparison import Result
from bmretriever_integrations.evaluation.tasks.similarity import AnyTask
from bmretriever_integrations.files import write_whole
from bmretriever_integrations.markdown import markdown_table


def write_markdown(path: Path, tasks: Sequence[AnyTask], results: Sequence[Result]) -> None:
    """
    Write the page. The file has either its old or its new content, even after an error.

    :param path: the file; it is replaced if it exists.
    :param tasks: the tasks, in the order in which they are shown.
    :param results: the results.
    """
    groups = grouped(tasks)
    names = labels(results)
    blocks = [_group(group, results, names) for group in groups]
    means = means_over_tasks(results, tasks)
    if len(groups) > 1 and means:
        rows = [(names[system], f"{of[MAIN_MEASURES]:.3f}") for system, of in means.items()]
        blocks.append(markdown_table(("system", f"mean of the main measures of {len(tasks)} tasks"), rows))
    beside = differences(tasks, results)
    if beside:
        blocks.append(_published(beside, names))
    blocks.append("\n".join(f"- {line}" for line in notes(tasks, results)))
    write_whole(path, ("\n\n".join(blocks) + "\n").encode())


def _group(tasks: Sequence[AnyTask], results: Sequence[Result], names: Mapping[str, str]) -> str:
    measures = tasks[0].measures
    rows = [
        (
            f"{task.name} ({', '.join(task.facts)})",
            names[r.system],
            *(f"{r.means[measure]:.3f}" for measure in measures),
        )
        for task in tasks
        for r in results
        if r.task == task.name
    ]
    if len(tasks) > 1:
        rows += [
            (f"mean of {len(tasks)} tasks", names[system], *(f"{of[measure]:.3f}" for measure in measures))
            for system, of in means_over_tasks(results, tasks).items()
        ]
    return markdown_table(("task", "system", *measures), rows)


def _published(rows: Sequence[Difference], names: Mapping[str, str]) -> str:
    heading = ("task", "system", "measure", "here", "published", "difference", "source of the published number")
    return markdown_table(
        heading,
        [
            (
                r.task,
                names[r.system],
                r.measure,
                f"{r.here:.3f}",
                f"{r.published:.3f}",
                f"{r.difference:+.3f}",
                r.source,
            )
            for r in rows
        ],
    )
