"""Results -> the table that a reader sees first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from bmretriever_integrations.evaluation.comparison import Result
from bmretriever_integrations.evaluation.metrics import MEASURES
from bmretriever_integrations.evaluation.report import means_over_tasks
from bmretriever_integrations.evaluation.tasks import Task


def results_table(tasks: Sequence[Task], results: Sequence[Result]) -> Table:
    """
    Lay results out: a task a block, a system a line, the best value of each measure in bold, means at the end.

    :param tasks: the tasks, in the order to show them.
    :param results: what was measured.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("Task", no_wrap=True)
    table.add_column("System", overflow="fold")
    for heading in (*MEASURES, "Seconds", "Passages/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for task in tasks:
        of_task = {result.system: result for result in results if result.task == task.name}
        facts = [
            escape(task.name),
            f"[dim]{len(task.document_ids):,} documents[/]",
            f"[dim]{len(task.queries):,} queries[/]",
        ]
        speed = {name: (f"{r.seconds:,.1f}", f"{r.passages_per_second:,.0f}") for name, r in of_task.items()}
        _add_block(table, facts, {name: result.means for name, result in of_task.items()}, speed)
    if len(tasks) > 1:
        _add_block(table, ["[bold]Mean[/]", f"[dim]{len(tasks)} tasks[/]"], means_over_tasks(results, tasks), {})
    return table


def notes(tasks: Iterable[Task], results: Sequence[Result]) -> list[str]:
    """
    What a reader must know beside the numbers: instructions, and judgements that the files do not bear out.

    :param tasks: the tasks.
    :param results: what was measured.
    """
    lines = []
    for task in tasks:
        used = {r.settings["instruction"] for r in results if r.task == task.name and "instruction" in r.settings}
        lines += [f"{task.name}: queries start with “{instruction}”" for instruction in sorted(used)]
        if task.unknown_documents:
            lines.append(
                f"{task.name}: {task.unknown_documents:,} of {task.relevant:,} relevant documents are not in the corpus; "
                "they count as not found"
            )
        if task.unknown_queries:
            lines.append(
                f"{task.name}: {task.unknown_queries:,} judged queries are not in queries.jsonl; they were not run"
            )
    return lines


def _add_block(
    table: Table,
    facts: list[str],
    means: Mapping[str, Mapping[str, float]],
    speed: Mapping[str, tuple[str, str]],
) -> None:
    best = {measure: max(of[measure] for of in means.values()) for measure in MEASURES} if means else {}
    for line in range(max(len(facts), len(means))):
        name = list(means)[line] if line < len(means) else None
        cells = ["", *[""] * len(MEASURES)]
        if name is not None:
            values = [(means[name][measure], means[name][measure] == best[measure]) for measure in MEASURES]
            cells = [
                escape(name),
                *[f"[bold]{value:.3f}[/]" if is_best else f"{value:.3f}" for value, is_best in values],
            ]
        table.add_row(facts[line] if line < len(facts) else "", *cells, *speed.get(name or "", ("", "")))
    table.add_section()
