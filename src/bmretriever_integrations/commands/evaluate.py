"""``bmretriever evaluate``: models beside BM25 on BEIR folders."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.prompts import resolve_instruction
from bmretriever_integrations.settings import DTYPES, MAX_LENGTH, EncoderSettings

if TYPE_CHECKING:
    from bmretriever_integrations.evaluation.comparison import Result, System
    from bmretriever_integrations.evaluation.tasks import Task

TABLE_COLUMNS = 100
"""Width of the table where there is no terminal to ask."""


RULES = """\
BM25 (k1 0.9, b 0.4, title and text, Porter stems, English stop words) is measured in the same run.
A document whose id equals a query's id is taken for the query itself and left out of that query's
ranking, unless the judgements call it relevant."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: of this command.
    """
    parser.epilog = "\n\n".join(filter(None, (RULES, parser.epilog)))
    add = parser.add_argument
    add(
        "tasks",
        nargs="+",
        type=Path,
        metavar="TASK_DIR",
        help="BEIR folder: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv",
    )
    add(
        "--model",
        action="append",
        metavar="M",
        help=f"short name, hub id or folder; repeatable (default: {DEFAULT_MODEL})",
    )
    add("--split", default="test", help="which qrels file (default: test)")
    add(
        "--instruction",
        metavar="KEY_OR_SENTENCE",
        help="for the queries of every task (default: the one of the folder's name, else the general one)",
    )
    add("--json", type=Path, metavar="FILE", help="write all numbers here after each task; a rerun goes on from there")
    add("--chart", type=Path, metavar="FILE", help="draw a bar chart here, .png or .svg")
    add("--max-length", type=int, default=MAX_LENGTH, metavar="N", help=f"tokens of a text (default: {MAX_LENGTH})")
    add("--dtype", choices=DTYPES, default="auto", help="number type of the weights (default: auto)")
    add("--device", help="e.g. cuda:1 (default: the fastest there is)")


def run(arguments: argparse.Namespace) -> int:
    """
    Measure, and report.

    :param arguments: what :func:`add_arguments` declared.
    :returns: exit status.
    :raises FileNotFoundError: if a task, one of its files or a model is missing.
    :raises ImportError: if the packages for evaluation are missing; says how to install them.
    :raises ValueError: if a task is malformed or an option out of range.
    """
    from rich.console import Console

    from bmretriever_integrations.commands.quiet import silence_libraries
    from bmretriever_integrations.evaluation.chart import check_format, draw_chart
    from bmretriever_integrations.evaluation.report import read_results
    from bmretriever_integrations.evaluation.table import notes, results_table

    # all that can be wrong with the command is found before the first model is loaded
    resolve_instruction(arguments.instruction)
    models = _settings_by_name(arguments)
    for path in filter(None, (arguments.json, arguments.chart)):
        if not path.absolute().parent.is_dir():
            raise FileNotFoundError(f"{path.parent} is no folder; make it first")
    if arguments.chart is not None:
        check_format(arguments.chart)
    earlier = read_results(arguments.json) if arguments.json is not None else []
    tasks = _load_tasks(arguments.tasks, arguments.split)

    silence_libraries()
    results = _measure(tasks, _systems(models, arguments.instruction), earlier, arguments.json)
    console = Console(width=None if sys.stdout.isatty() else TABLE_COLUMNS)
    console.print(results_table(tasks, results))
    console.print()
    for line in notes(tasks, results):
        console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)
    if arguments.chart is not None:
        draw_chart(arguments.chart, tasks, results)
    return 0


def _measure(
    tasks: Sequence[Task], systems: Iterator[System], earlier: Sequence[Result], json_file: Path | None
) -> list[Result]:
    from rich.console import Console

    from bmretriever_integrations.evaluation.comparison import compare
    from bmretriever_integrations.evaluation.metrics import MAIN_MEASURE
    from bmretriever_integrations.evaluation.report import write_report

    status = Console(stderr=True, highlight=False)
    pending = {result.key: result for result in earlier}
    results: list[Result] = []
    for result in compare(systems, tasks, dict(pending)):
        origin = f"taken from {json_file}" if pending.pop(result.key, None) else f"{result.seconds:,.1f} s"
        results.append(result)
        if json_file is not None:
            write_report(json_file, tasks, results, list(pending.values()))
        line = f"{result.system} on {result.task}: {MAIN_MEASURE} {result.means[MAIN_MEASURE]:.3f} ({origin})"
        status.print(line, markup=False, soft_wrap=True)
    if json_file is not None:
        write_report(json_file, tasks, results)
    return results


def _load_tasks(folders: Sequence[Path], split: str) -> list[Task]:
    from bmretriever_integrations.evaluation.tasks import load_task

    tasks = [load_task(folder, split) for folder in folders]
    names = [task.name for task in tasks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"two task folders are named {twice[0]!r}; the report tells tasks apart by their folders' names"
        )
    return tasks


def _settings_by_name(arguments: argparse.Namespace) -> dict[str, EncoderSettings]:
    """Each model once, called by its folder's name where that tells the models apart, else by what the user wrote."""
    models = list(dict.fromkeys(arguments.model or [DEFAULT_MODEL]))
    short = [
        Path(model).expanduser().resolve().name if Path(model).expanduser().is_dir() else model for model in models
    ]
    taken = ["BM25", *short]
    names = [name if taken.count(name) == 1 else model for name, model in zip(short, models, strict=True)]
    return {
        name: EncoderSettings(
            model=model, device=arguments.device, dtype=arguments.dtype, max_length=arguments.max_length
        )
        for name, model in zip(names, models, strict=True)
    }


def _systems(models: dict[str, EncoderSettings], instruction: str | None) -> Iterator[System]:
    """One at a time: a model is closed before the next is loaded."""
    from bmretriever_integrations.evaluation.bm25 import Bm25
    from bmretriever_integrations.evaluation.dense import DenseRetriever

    yield Bm25()
    for name, settings in models.items():
        with settings.open(progress=sys.stderr.isatty()) as encoder:
            yield DenseRetriever(name, encoder, instruction)
