"""Make the tables of results that the command prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from bmretriever_integrations.evaluation.reports.json_report import MAIN_MEASURES, means_over_tasks
from bmretriever_integrations.evaluation.reports.published import Difference
from bmretriever_integrations.evaluation.reports.scored import dated, labels, versions, weights
from bmretriever_integrations.evaluation.systems.comparison import Result
from bmretriever_integrations.evaluation.tasks.catalogue import TASKS
from bmretriever_integrations.evaluation.tasks.retrieval import Task
from bmretriever_integrations.evaluation.tasks.similarity import AnyTask


def grouped(tasks: Sequence[AnyTask]) -> list[list[AnyTask]]:
    """
    Group the tasks that have the same measures, because each group is shown in one table.

    :param tasks: the tasks, in the order in which they are shown.
    """
    groups: dict[tuple[str, ...], list[AnyTask]] = {}
    for task in tasks:
        groups.setdefault(task.measures, []).append(task)
    return list(groups.values())


def results_tables(tasks: Sequence[AnyTask], results: Sequence[Result]) -> list[Table]:
    """
    Make a table for each set of measures, and a last one with the means over all tasks.

    :param tasks: the tasks, in the order in which they are shown.
    :param results: the results.
    """
    groups = grouped(tasks)
    names = labels(results)
    tables = [_group_table(group, results, names) for group in groups]
    if len(groups) > 1:
        table = _empty_table((MAIN_MEASURES,), ())
        means = {
            names[system]: {MAIN_MEASURES: of[MAIN_MEASURES]}
            for system, of in means_over_tasks(results, tasks).items()
            if MAIN_MEASURES in of
        }
        _add_block(table, ["[bold]Mean[/]", f"[dim]{len(tasks)} tasks[/]"], (MAIN_MEASURES,), means, {})
        if means:
            tables.append(table)
    return tables


def published_table(differences: Sequence[Difference], results: Sequence[Result]) -> Table:
    """
    Make the table of results and published numbers.

    :param differences: the comparisons, at least one.
    :param results: the results of the run.
    """
    names = labels(results)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("Task", "System", "Measure"):
        table.add_column(heading, overflow="fold")
    for heading in ("Here", "Published", "Difference"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in differences:
        cells = (row.task, names[row.system], row.measure)
        table.add_row(*map(escape, cells), f"{row.here:.3f}", f"{row.published:.3f}", f"{row.difference:+.3f}")
    return table


def notes(tasks: Sequence[AnyTask], results: Sequence[Result]) -> list[str]:
    """
    Write the notes to the numbers: what was scored and when, the instructions, judgements of missing queries and documents, and
    what was never published.

    :param tasks: the tasks.
    :param results: the results.
    """
    lines = [dated(results), *weights(results)] if results else []
    for line, task in zip(versions(tasks), tasks, strict=True):
        lines.append(line)
        used = {r.settings["instruction"] for r in results if r.task == task.name and "instruction" in r.settings}
        lines += [f"{task.name}: queries start with “{instruction}”" for instruction in sorted(used)]
        lines += [
            f"{task.name}: {r.system} cut {r.cut_texts:,} texts at {r.settings['max_length']:,} tokens"
            for r in results
            if r.task == task.name and r.cut_texts
        ]
        lines += [f"{task.name}: {line}" for line in (*_gaps(task), *_of_record(task))]
    return lines


def _gaps(task: AnyTask) -> list[str]:
    if not isinstance(task, Task):
        return []
    lines = []
    if task.left_out:
        lines.append(
            f"{task.left_out:,} of {len(task.queries):,} queries are documents themselves; each is left out of its own ranking"
        )
    if task.same_ids:
        lines.append(
            f"{task.same_ids:,} of {len(task.queries):,} queries share their id with a document, which is ranked like any other; "
            f"if they are these documents, add --queries-are-documents {task.name}"
        )
    if task.unknown_documents:
        lines.append(
            f"{task.unknown_documents:,} of {task.relevant:,} relevant documents are not in the corpus; "
            "they count as not found"
        )
    if task.unknown_queries:
        lines.append(f"{task.unknown_queries:,} judged queries are not in queries.jsonl; they were not run")
    unanswerable = sum(all(grade <= 0 for grade in grades.values()) for grades in task.judgements.values())
    if unanswerable:
        lines.append(f"{unanswerable:,} of {len(task.queries):,} queries have no relevant document; they count as 0")
    return lines


def _of_record(task: AnyTask) -> list[str]:
    record = TASKS.get(task.name)
    if record is None:
        return []
    if not record.fits(task):
        about = "about " if record.rounded else ""
        known = [f"{about}{count:,}" for count in (record.documents, record.queries) if count is not None]
        return [
            f"{' and '.join(task.facts)} here, {' and '.join(known)} in the published set: published numbers are not comparable"
        ]
    return list(record.notes)


def _group_table(tasks: Sequence[AnyTask], results: Sequence[Result], names: Mapping[str, str]) -> Table:
    measures = tasks[0].measures
    table = _empty_table(measures, ("Seconds", "Passages/s" if isinstance(tasks[0], Task) else "Sentences/s"))
    for task in tasks:
        of_task = {names[result.system]: result for result in results if result.task == task.name}
        facts = [escape(task.name), *(f"[dim]{fact}[/]" for fact in task.facts)]
        speed = {name: (f"{r.seconds:,.1f}", f"{r.passages_per_second:,.0f}") for name, r in of_task.items()}
        _add_block(table, facts, measures, {name: result.means for name, result in of_task.items()}, speed)
    if len(tasks) > 1:
        means = {names[system]: of for system, of in means_over_tasks(results, tasks).items()}
        _add_block(table, ["[bold]Mean[/]", f"[dim]{len(tasks)} tasks[/]"], measures, means, {})
    return table


def _empty_table(measures: tuple[str, ...], speed: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("Task", no_wrap=True)
    table.add_column("System", overflow="fold")
    for heading in (*measures, *speed):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _add_block(
    table: Table,
    facts: list[str],
    measures: tuple[str, ...],
    means: Mapping[str, Mapping[str, float]],
    speed: Mapping[str, tuple[str, str]],
) -> None:
    """Add a task's rows: its facts, one row for each system, and the best value of each measure in bold."""
    best = {measure: max(of[measure] for of in means.values()) for measure in measures} if means else {}
    for line in range(max(len(facts), len(means))):
        name = list(means)[line] if line < len(means) else None
        cells = ["", *[""] * len(measures)]
        if name is not None:
            values = [(means[name][measure], means[name][measure] == best[measure]) for measure in measures]
            cells = [
                escape(name),
                *[f"[bold]{value:.3f}[/]" if is_best else f"{value:.3f}" for value, is_best in values],
            ]
        row = (facts[line] if line < len(facts) else "", *cells, *speed.get(name or "", ("", "")))
        table.add_row(*row[: len(table.columns)])
    table.add_section()
