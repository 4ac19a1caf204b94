"""Run ``bmretriever build``, which builds an evaluation task from its official files."""

from __future__ import annotations

import argparse
from pathlib import Path

from bmretriever_integrations.commands.arguments import this_program

NOUNS = {"corpus.jsonl": "documents", "queries.jsonl": "queries", "pairs.jsonl": "pairs"}
"""Maps each file of a task to the noun for its lines in the output."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    add = parser.add_argument
    add("task", metavar="TASK", help="name of a task; bmretriever evaluate --list shows names and sources")
    add(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="the task's official files, or the hub id of its data set, or the folder of a clone of the data set",
    )
    add("--to", type=Path, metavar="DIR", help="folder to write (default: where bmretriever evaluate TASK finds it)")


def run(arguments: argparse.Namespace) -> int:
    """
    Build the task's folder.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    :returns: exit status.
    :raises FileExistsError: if the folder exists.
    :raises FileNotFoundError: if a source is missing.
    :raises ImportError: if the packages for evaluation are missing; the message says how to install them.
    :raises ValueError: if the task is not known, or if a source is malformed, with file and place.
    """
    import json

    from bmretriever_integrations.commands.screen import silence_libraries
    from bmretriever_integrations.evaluation.tasks.cache import build_task, cache_folder
    from bmretriever_integrations.evaluation.tasks.catalogue import TASKS
    from bmretriever_integrations.evaluation.tasks.writing import ORIGIN
    from bmretriever_integrations.terminal.streams import write_lines

    record = TASKS.get(arguments.task)
    if record is None:
        raise ValueError(f"{arguments.task!r} is no named task; the names are {', '.join(TASKS)}")
    folder = arguments.to or cache_folder() / record.name
    silence_libraries()
    build_task(record, arguments.sources, folder)
    origin = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    counts = [f"{count:,} {NOUNS.get(name, name)}" for name, count in origin["counts"].items()]
    left_out = [f"{count:,} left out: {reason}" for reason, count in origin["left_out"].items() if count]
    scored_by = f"Score it with: {this_program()} evaluate {arguments.to or record.name}"
    write_lines([f"{record.title}: {', '.join([*counts, *left_out])}", scored_by])
    return 0
