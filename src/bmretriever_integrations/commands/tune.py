"""Run ``bmretriever tune``, which makes searches of a large index fast and measures what they miss."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bmretriever_integrations.terminal.streams import write_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    parser.add_argument("index", metavar="DIR", help="an index of 20,000 records or more")
    parser.add_argument(
        "--recall",
        type=float,
        default=0.95,
        metavar="SHARE",
        help="share of the ten best records that a search shall find (default: %(default)s)",
    )
    parser.add_argument(
        "--questions", type=Path, metavar="FILE", help="your own questions, of which the same recall is asked"
    )
    parser.add_argument("--model", help="short name, hub id or folder, if the model is no longer where it was")
    parser.add_argument("--device", help="e.g. cuda:1 or cpu (default: the fastest device)")


def run(arguments: argparse.Namespace) -> int:
    """
    Tune the index and print what was tried and chosen.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    """
    from bmretriever_integrations.commands.arguments import absolute
    from bmretriever_integrations.commands.hits.questions import read_questions
    from bmretriever_integrations.commands.screen import silence_libraries
    from bmretriever_integrations.index.tune import tune_index

    questions = [] if arguments.questions is None else [one.text for one in read_questions(arguments.questions)]
    if questions:
        silence_libraries()
    report = tune_index(
        arguments.index,
        arguments.recall,
        questions=questions,
        model=arguments.model and absolute(arguments.model),
        device=arguments.device,
        say=lambda line: write_lines([line], sys.stderr),
    )
    chosen = report.chosen
    lines = ["probes  refinement  recall@10  median ms"]
    for trial in report.trials:
        way = f"{trial.nprobes:6}  {trial.refine_factor:10}" if trial.nprobes else f"{'exact search':>18}"
        mark = "  <- chosen" if (trial.nprobes, trial.refine_factor) == (chosen.nprobes, chosen.refine_factor) else ""
        lines.append(f"{way}  {trial.measured.recall:9.1%}  {trial.measured.milliseconds:9.1f}{mark}")
    lines.append(
        f"{arguments.index}: searches find {chosen.recall:.1%} of the ten best records, measured with {chosen.questions:,} "
        f"questions over {chosen.rows:,} records"
    )
    write_lines(lines)
    return 0
