"""Run ``bmretriever check-vectors``, which tells which known mistakes made given vectors."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.commands.arguments import add_max_length
from bmretriever_integrations.terminal.streams import write_lines

if TYPE_CHECKING:
    from bmretriever_integrations.vector_check.verdict import Verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    add = parser.add_argument
    add("vectors", type=Path, metavar="VECTORS", help=".npy file of float32 or float16, one vector a row")
    add(
        "--texts",
        type=Path,
        required=True,
        metavar="FILE",
        help="the texts in the same order: .jsonl with text and perhaps title, or one plain text a line",
    )
    add("--model", default=DEFAULT_MODEL, help="short name, hub id or folder (default: %(default)s)")
    add("--role", choices=("passages", "queries"), default="passages", help="what the texts are (default: %(default)s)")
    add("--instruction", metavar="KEY", help="the task of the queries: a task key such as scifact, or a sentence")
    add_max_length(parser)
    add("--device", help="e.g. cuda:1 or cpu (default: the fastest device)")


def run(arguments: argparse.Namespace) -> int:
    """
    Check the vectors, and print the verdict, what to do, and the explanations that were tried.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    :returns: 0 if the vectors are right, else 1.
    """
    from bmretriever_integrations.commands.screen import silence_libraries

    silence_libraries()
    from bmretriever_integrations.vector_check.check import check_vectors

    verdict = check_vectors(
        arguments.vectors,
        arguments.texts,
        arguments.model,
        role=arguments.role,
        instruction=arguments.instruction,
        max_length=arguments.max_length,
        device=arguments.device,
    )
    print_verdict(verdict)
    return 0 if verdict.is_right else 1


def print_verdict(verdict: Verdict) -> None:
    """
    Print a verdict: one sentence, what to do, and the table of explanations.

    :param verdict: what the check found.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from bmretriever_integrations.terminal.console import open_console
    from bmretriever_integrations.vector_check.advice import ways_out

    write_lines([verdict.headline, *(f"- {way}" for way in ways_out(verdict.mistakes)), *verdict.notes])
    if not verdict.candidates:
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("computed in this way", overflow="fold")
    for heading in ("rows that fit", "mean cosine", "median length"):
        table.add_column(heading, justify="right", no_wrap=True)
    for tried in verdict.candidates:
        fitting = f"{tried.fitting:,} of {tried.checked:,}"
        table.add_row(Text(tried.name), fitting, f"{tried.cosine:.6f}", f"{tried.length:.4g}")
    write_lines([""])
    open_console().print(table)
