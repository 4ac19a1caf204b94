"""Run ``bmretriever index-table``, which makes an index of a table that a job on a cluster wrote."""

from __future__ import annotations

import argparse
import sys
import warnings

from bmretriever_integrations.terminal.streams import write_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    parser.add_argument("index", metavar="DIR", help="the folder in which the job wrote records.lance")
    parser.add_argument("--model", help="short name, hub id or folder, if the model is not where the job had it")
    parser.add_argument("--device", help="e.g. cuda:1 or cpu (default: the fastest device)")


def run(arguments: argparse.Namespace) -> int:
    """
    Make the index and say what it holds.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    """
    from bmretriever_integrations.commands.arguments import absolute
    from bmretriever_integrations.commands.screen import silence_libraries
    from bmretriever_integrations.encoder.cut_texts import CutTextWarning
    from bmretriever_integrations.index import index_table

    silence_libraries()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CutTextWarning)  # a line says how many of the sample are cut
        report = index_table(
            arguments.index,
            model=arguments.model and absolute(arguments.model),
            device=arguments.device,
            say=lambda line: write_lines([line], sys.stderr),
        )
    lines = [f"{arguments.index}: {report.records:,} records"]
    others = [(report.unchanged, "equal to another row"), (report.outdated, "older than another row of the same id")]
    counted = [f"{count:,} {what}" for count, what in others if count]
    lines += [f"removed: {', '.join(counted)}"] * bool(counted)
    if report.undecided:
        lines.append(
            f"undecided: {report.undecided:,} PubMed records replaced others of their ids, and neither says that it is newer"
        )
    write_lines(lines)
    return 0
