"""Run ``bmretriever search``, which finds the records that fit a question best."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bmretriever_integrations.commands.arguments import absolute, positive
from bmretriever_integrations.commands.hits.desk import Desk
from bmretriever_integrations.commands.hits.formats import FORMATS
from bmretriever_integrations.commands.hits.questions import parse_questions, read_questions
from bmretriever_integrations.hits.answers import Question
from bmretriever_integrations.prompts import resolve_instruction
from bmretriever_integrations.terminal.streams import write_lines

MODES = ("hybrid", "vector", "text")
MORE_WORDS = "question"
"""Words that stand after an option belong to the question, too."""
FILTERS = ("since", "until", "publication_types", "mesh", "journal", "languages", "where")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    add = parser.add_argument
    add("index", metavar="DIR", help="an index that `bmretriever index` made")
    add("question", nargs="*", metavar="QUESTION", help="the question, one word or more (default: a prompt, or stdin)")
    add("--questions", type=Path, metavar="FILE", help="questions, one a line, or JSON lines with _id and text")
    add("--like", metavar="ID", help="find records that are like this one of the index")
    add("--mode", choices=MODES, help="words and vectors, vectors alone, or words alone (default: hybrid)")
    add("--top-k", type=positive, default=5, metavar="K", help="number of records to show (default: %(default)s)")
    _add_filters(parser)
    add("--format", choices=FORMATS, default="table", help="how hits are written (default: %(default)s)")
    add("--json", action="store_const", const="json", dest="format", help="the same as --format json")
    add("--instruction", metavar="KEY", help="the task of the question: a task key such as scifact, or a sentence")
    add("--model", help="short name, hub id or folder, if the model is no longer where it was")
    add("--device", help="e.g. cuda:1 or cpu (default: the fastest device)")
    add("--verify", action="store_true", help="first compare the checksums of the index's files")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("filters").add_argument
    add("--since", metavar="DATE", help="published then or later: 2015, 2015-03 or 2015-03-14")
    add("--until", metavar="DATE", help="published then or earlier")
    for name, dest, of in (
        ("--type", "publication_types", "publication type, e.g. Review"),
        ("--mesh", "mesh", "MeSH descriptor, e.g. Metformin"),
        ("--journal", "journal", "name of the journal"),
        ("--language", "languages", "language of the full text, e.g. eng"),
    ):
        add(
            name,
            dest=dest,
            action="append",
            default=[],
            metavar=name[2].upper(),
            help=f"{of}; if repeated, any will do",
        )
    add("--where", metavar="SQL", help="a condition in SQL, e.g. \"year >= 2015 and journal = 'Nature'\"")
    add("--include-retracted", action="store_true", help="show retracted papers, too; they are marked")


def run(arguments: argparse.Namespace) -> int:
    """
    Search the index and print the hits.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    """
    questions = _questions(arguments)
    instruction = resolve_instruction(arguments.instruction)
    from bmretriever_integrations.index import Filters, SearchIndex

    given = {name: getattr(arguments, name) for name in FILTERS if getattr(arguments, name) not in (None, [])}
    filters = Filters(**given) if given else None
    model = arguments.model and absolute(arguments.model)
    with SearchIndex.open(arguments.index, model=model, device=arguments.device, verify=arguments.verify) as index:
        if not index.manifest.complete:
            note = f"note: {arguments.index} is unfinished; searching the {len(index):,} records that it holds. "
            write_lines([f"{note}Run its index command again to finish it."], sys.stderr)
        if arguments.like is None and arguments.mode != "text":
            from bmretriever_integrations.commands.screen import silence_libraries

            silence_libraries()
        desk = Desk(index, arguments, filters, instruction)
        if questions is None:
            desk.serve()
        else:
            desk.answer(questions)
    return 0


def _questions(arguments: argparse.Namespace) -> list[Question] | None:
    """Return what is asked, or None where the user is to be asked for it."""
    given = [bool(arguments.question), arguments.questions is not None, arguments.like is not None]
    if sum(given) > 1:
        raise ValueError("a question, --questions and --like exclude each other; name one of them")
    if arguments.question:
        text = " ".join(arguments.question)
        if not text.strip():
            raise ValueError("the question is empty")
        return [Question("1", text)]
    if arguments.questions is not None:
        return read_questions(arguments.questions)
    if arguments.like is not None:
        return [Question(arguments.like, "")]
    if not sys.stdin.isatty():
        return parse_questions(sys.stdin.buffer.read(), "standard input")
    if arguments.format != "table":
        raise ValueError(f"--format {arguments.format} needs a question: name it, or --questions FILE")
    return None
