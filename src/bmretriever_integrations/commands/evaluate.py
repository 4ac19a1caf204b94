"""Run ``bmretriever evaluate``, which measures models, BM25 and baselines on the paper's data sets or on any BEIR folder."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.commands.systems import Baseline, SetPrompt, named_models, open_systems
from bmretriever_integrations.prompts import resolve_instruction
from bmretriever_integrations.settings import DTYPES, MAX_LENGTH, QUANTIZATIONS
from bmretriever_integrations.terminal.characters import printable

if TYPE_CHECKING:
    from bmretriever_integrations.evaluation.systems.comparison import Result, System
    from bmretriever_integrations.evaluation.systems.stored_vectors import VectorChoice
    from bmretriever_integrations.evaluation.tasks.similarity import AnyTask

TABLE_COLUMNS = 100
"""Columns of the table where the output is not a terminal."""


RULES = """\
BM25 (k1 0.9, b 0.4, title and text, Porter stems, English stop words) is
measured in the same run.
A named task is fetched once and kept in $BMRETRIEVER_TASKS (default:
~/.cache/bmretriever/tasks).
Where queries are documents of the corpus (SciDocs), a query's own document is
left out of its ranking unless it is judged relevant to it; a note says so.
Equal ids alone do not mean that."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    parser.epilog = "\n\n".join(filter(None, (RULES, parser.epilog)))
    add = parser.add_argument
    add(
        "tasks",
        nargs="*",
        metavar="TASK",
        help="BEIR folder (corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv), or the name of a task or a benchmark that --list shows",
    )
    add(
        "--list",
        action="store_true",
        help="show the named tasks by benchmark: measures, sources, published numbers",
    )
    add(
        "--model",
        action="append",
        metavar="M",
        help=f"short name, hub id or folder; repeatable (default: {DEFAULT_MODEL})",
    )
    add(
        "--hybrid",
        action="store_true",
        help="measure each --model in the index's hybrid search, too: its vectors and full text together",
    )
    add(
        "--baseline",
        action="append",
        type=Baseline,
        metavar="B",
        help="sentence-transformers model to measure in the same run, folder or hub id; repeatable",
    )
    add("--query-prompt", action=SetPrompt, metavar="TEXT", help="text before the queries of the preceding --baseline")
    add("--passage-prompt", action=SetPrompt, metavar="TEXT", help="text before the passages of that --baseline")
    add("--split", default="test", help="name of the qrels file (default: test)")
    add(
        "--queries-are-documents",
        action="append",
        default=[],
        metavar="TASK",
        help="in this task each query is the document with its id, which is left out of its ranking; repeatable",
    )
    add(
        "--instruction",
        metavar="KEY_OR_SENTENCE",
        help="instruction for all queries (default: the task's, else the one stored with the model, else the general one)",
    )
    add(
        "--json",
        type=Path,
        metavar="FILE",
        help="write all numbers to this file after each task; the same command continues from it",
    )
    add("--markdown", type=Path, metavar="FILE", help="write the tables to this file, as Markdown")
    add("--chart", type=Path, metavar="FILE", help="draw a bar chart to this file, .png or .svg")
    add(
        "--max-length",
        type=int,
        default=MAX_LENGTH,
        metavar="N",
        help=f"the most tokens of a text, for every --model (default: {MAX_LENGTH})",
    )
    add("--dtype", choices=DTYPES, default="auto", help="number type of every --model's weights (default: auto)")
    add(
        "--quantization",
        choices=QUANTIZATIONS,
        help="number type of every --model's linear layers (default: no quantization)",
    )
    add("--truncate-dim", type=int, metavar="D", help="keep the first D dimensions of every --model's vectors")
    add(
        "--precision",
        choices=("float32", "float16", "int8", "binary"),
        default="float32",
        help="number type in which every --model's document vectors are stored (default: float32)",
    )
    add(
        "--rescore",
        type=int,
        default=0,
        metavar="N",
        help="rank the N best documents of the stored vectors again by the full vectors (default: 0)",
    )
    add("--device", help="e.g. cuda:1 (default: the fastest device)")


def run(arguments: argparse.Namespace) -> int:
    """
    Measure the systems on the tasks, and report the results.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    :returns: exit status.
    :raises ConnectionError: if a named task cannot be fetched.
    :raises FileNotFoundError: if a task, one of its files or a model is missing.
    :raises ImportError: if the packages for evaluation are missing; the message says how to install them.
    :raises ValueError: if a task is malformed or an option is out of range.
    """
    if arguments.list:
        return _show_tasks()
    # all arguments are checked before the first model is loaded
    if not arguments.tasks:
        raise ValueError("name a task: a BEIR folder, or one of the names that bmretriever evaluate --list shows")
    resolve_instruction(arguments.instruction)
    models, baselines = named_models(arguments)
    choice = _vector_choice(arguments)
    if arguments.hybrid:
        _check_hybrid(choice)
    for path in filter(None, (arguments.json, arguments.markdown, arguments.chart)):
        if not path.absolute().parent.is_dir():
            raise FileNotFoundError(f"{path.parent} is no folder; make it first")
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder; name a file")

    from bmretriever_integrations.commands.screen import silence_libraries
    from bmretriever_integrations.device import keep_freed_memory
    from bmretriever_integrations.encoder.cut_texts import CutTextWarning
    from bmretriever_integrations.evaluation.reports.chart import check_format
    from bmretriever_integrations.evaluation.reports.json_report import read_results
    from bmretriever_integrations.evaluation.systems.baseline import check_installed
    from bmretriever_integrations.evaluation.tasks.opening import open_tasks

    if arguments.chart is not None:
        check_format(arguments.chart)
    if baselines:
        check_installed()
    earlier = read_results(arguments.json) if arguments.json is not None else []
    silence_libraries()
    keep_freed_memory()  # allowed here, because a command owns its process
    tasks = open_tasks(arguments.tasks, arguments.split, arguments.queries_are_documents)
    systems = open_systems(models, baselines, arguments.instruction, arguments.device, choice, hybrid=arguments.hybrid)
    with closing(systems), warnings.catch_warnings():  # an error closes the model and removes its index, too
        warnings.simplefilter("ignore", CutTextWarning)  # the notes have the numbers of cut texts
        results = _measure(tasks, systems, earlier, arguments.json)
    _show(tasks, results, arguments.markdown, arguments.chart)
    return 0


def _vector_choice(arguments: argparse.Namespace) -> VectorChoice:
    from bmretriever_integrations.evaluation.systems.stored_vectors import VectorChoice

    return VectorChoice(precision=arguments.precision, rescore=arguments.rescore)


def _check_hybrid(choice: VectorChoice) -> None:
    if choice.settings:
        raise ValueError("--hybrid searches the vectors as an index stores them; leave out --precision and --rescore")
    if find_spec("lancedb") is None:
        raise ImportError("--hybrid needs LanceDB: pip install 'bmretriever-integrations[evaluation,index]'")


def _show_tasks() -> int:
    from bmretriever_integrations.evaluation.tasks.listing import describe_tasks
    from bmretriever_integrations.terminal.console import open_console

    console = open_console()
    for line in describe_tasks(console.width if console.is_terminal else None):
        console.print(line, markup=False, soft_wrap=True)
    return 0


def _show(tasks: Sequence[AnyTask], results: Sequence[Result], markdown: Path | None, chart: Path | None) -> None:
    from bmretriever_integrations.evaluation.reports.chart import draw_chart
    from bmretriever_integrations.evaluation.reports.markdown import write_markdown
    from bmretriever_integrations.evaluation.reports.published import differences
    from bmretriever_integrations.evaluation.reports.table import notes, published_table, results_tables
    from bmretriever_integrations.terminal.console import open_console

    console = open_console(columns=TABLE_COLUMNS)
    for table in results_tables(tasks, results):
        console.print(table)
        console.print()
    beside = differences(tasks, results)
    if beside:
        console.print(published_table(beside, results))
        console.print()
    for line in notes(tasks, results):
        console.print(printable(line), style="dim", markup=False, soft_wrap=True)
    if markdown is not None:
        write_markdown(markdown, tasks, results)
    if chart is not None:
        draw_chart(chart, tasks, results)


def _measure(
    tasks: Sequence[AnyTask], systems: Iterator[System], earlier: Sequence[Result], json_file: Path | None
) -> list[Result]:
    from bmretriever_integrations.evaluation.reports.json_report import write_report
    from bmretriever_integrations.evaluation.systems.comparison import compare
    from bmretriever_integrations.terminal.console import open_console

    status = open_console(stderr=True)
    pending = {result.key: result for result in earlier}
    results: list[Result] = []
    main = {task.name: task.measures[0] for task in tasks}
    for result in compare(systems, tasks, dict(pending)):
        origin = f"taken from {json_file}" if pending.pop(result.key, None) else f"{result.seconds:,.1f} s"
        results.append(result)
        if json_file is not None:
            write_report(json_file, tasks, results, list(pending.values()))
        measure = main[result.task]
        line = f"{result.system} on {result.task}: {measure} {result.means[measure]:.3f} ({origin})"
        status.print(printable(line), markup=False, soft_wrap=True)
    if json_file is not None:
        write_report(json_file, tasks, results)
    return results
