"""Run ``bmretriever search``, which finds the records that fit a question best."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from bmretriever_integrations.prompts import resolve_instruction
from bmretriever_integrations.terminal.streams import write_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    parser.add_argument("index", metavar="DIR", help="an index that `bmretriever index` made")
    parser.add_argument("question", nargs="+", metavar="QUESTION", help="the question, one word or more")
    parser.add_argument(
        "--top-k", type=int, default=5, metavar="K", help="number of records to show (default: %(default)s)"
    )
    parser.add_argument(
        "--instruction", metavar="KEY", help="the task of the question: a task key such as scifact, or a sentence"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list with rank, score, id, title and text")
    parser.add_argument(
        "--verify", action="store_true", help="check the checksums even if the index is larger than 500 MB"
    )


def run(arguments: argparse.Namespace) -> int:
    """
    Search the index and print the hits.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    """
    from bmretriever_integrations.index import SearchIndex

    question = " ".join(arguments.question)
    if not question.strip():
        raise ValueError("the question is empty")
    if arguments.top_k < 1:
        raise ValueError(f"--top-k must be at least 1, got {arguments.top_k}")
    instruction = resolve_instruction(arguments.instruction)
    index = SearchIndex.open(arguments.index, verify=arguments.verify)
    if not index.manifest.complete:
        note = f"note: {arguments.index} is unfinished; searching its first {len(index):,} records. "
        write_lines([f"{note}Run its index command again to finish it."], sys.stderr)
    from bmretriever_integrations.commands.screen import silence_libraries

    silence_libraries()
    with index.open_encoder() as encoder:
        hits = index.search(encoder.encode_queries([question], instruction)[0], arguments.top_k)
    if arguments.json:
        sys.stdout.write(json.dumps([asdict(hit) for hit in hits], indent=1) + "\n")
    else:
        from bmretriever_integrations.commands.screen import print_hits
        from bmretriever_integrations.terminal.console import open_console

        print_hits(open_console(), hits, question)
    return 0
