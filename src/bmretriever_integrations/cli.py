"""Define the ``bmretriever`` command: list its subcommands, run one of them, and print its errors."""

from __future__ import annotations

import argparse
import atexit
import difflib
import gc
import importlib
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from bmretriever_integrations.terminal.characters import printable
from bmretriever_integrations.terminal.streams import show_every_character, write_lines
from bmretriever_integrations.versions import VERSION

HELP_COLUMNS = 80
"""Columns of a help's first sentence, which argparse prints as it is."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, the same as in shells: 128 + SIGINT."""
USER_ERROR = 2
"""Exit status after an error."""
TRACEBACK_VARIABLE = "BMRETRIEVER_TRACEBACK"
"""The environment variable that, if it is set, lets an error print where in the code it was raised."""
FORESEEN = (ValueError, TypeError, OSError, ImportError, FloatingPointError)
"""Kinds of errors whose messages are written for users. Other kinds are printed with their names."""


class Parser(argparse.ArgumentParser):
    """An argument parser that prints its errors in one line, as all commands do."""

    def error(self, message: str) -> NoReturn:
        """
        Print an error and end the process.

        :param message: the fault in the arguments.
        """
        self.exit(USER_ERROR, printable(f"error: {message} (see {self.prog} --help)") + "\n")


def read_arguments(
    parser: argparse.ArgumentParser,
    given: Sequence[str],
    of_command: argparse.ArgumentParser | None = None,
    more_words: str | None = None,
) -> argparse.Namespace:
    """
    Read the arguments of a command or script, and end the process if one of them is unknown.

    :param parser: the parser of the arguments.
    :param given: the arguments.
    :param of_command: the parser of the subcommand that they name; the error points to its help.
    :param more_words: the argument that takes words which stand after an option. argparse gives it those before it only.
    """
    arguments, unknown = parser.parse_known_args(given)
    if more_words is not None and not any(word.startswith("-") for word in unknown):
        getattr(arguments, more_words).extend(unknown)
        unknown = []
    if unknown:
        of_command = of_command or parser
        options = re.findall(r"--[\w-]+", of_command.format_usage())
        near = [
            difflib.get_close_matches(word.partition("=")[0], options, 1, 0.75) for word in unknown if word[:2] == "--"
        ]
        hint = f"; did you mean {' '.join(near[0])}?" if near and near[0] else ""
        of_command.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    return arguments


def status_of(work: Callable[[], int]) -> int:
    """
    Run a command and print its error, if it raises one, as one line on stderr.

    The environment variable :data:`TRACEBACK_VARIABLE` adds the place in the code.

    :param work: the command; it returns its exit status.
    :returns: that status; 2 after an error; 130 after Ctrl-C.
    """
    show_every_character()
    try:
        status = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # damaged files make the libraries that read them raise errors of any kind
        print_error(error)
        return USER_ERROR
    return status


def print_error(error: Exception) -> None:
    """
    Print an error as one line on stderr, as every command does.

    :param error: the error; its kind is named unless its message is written for users.
    """
    if os.environ.get(TRACEBACK_VARIABLE):
        write_lines("".join(traceback.format_exception(error)).splitlines(), sys.stderr)
    reason = " ".join(str(error).split())
    if not reason or not isinstance(error, FORESEEN):
        reason = f"{type(error).__name__}: {reason} (set {TRACEBACK_VARIABLE}=1 to see where)".replace(":  (", " (")
    write_lines([f"error: {reason}"], sys.stderr)


@dataclass(frozen=True)
class _Command:
    summary: str
    example: str


# commands/<name>.py defines add_arguments(parser) and run(arguments) -> exit status; only the requested command is imported.
COMMANDS = {
    "index": _Command(
        "embed papers (PubMed, RIS, full texts, JSON lines) into an index",
        "bmretriever index pubmed26n0001.xml.gz --to my-index --model 410M",
    ),
    "index-table": _Command(
        "make an index of a table that a job of Ray Data wrote", "bmretriever index-table my-index --model 410M"
    ),
    "search": _Command(
        "find the records of an index that answer a question, by meaning and by words",
        'bmretriever search my-index "Does metformin lower mortality in COVID-19?" --since 2020 --type Review',
    ),
    "delete": _Command("remove records from an index", "bmretriever delete my-index --id 31452104 31452105"),
    "info": _Command("say what an index holds and whether its files are whole", "bmretriever info my-index --verify"),
    "tune": _Command(
        "make searches of a large index fast, and measure what they miss",
        "bmretriever tune my-index --recall 0.95",
    ),
    "serve": _Command(
        "answer people, programs and agents over HTTP: embeddings, and searches of an index",
        "bmretriever serve my-index",
    ),
    "mcp": _Command("give an index to a language model as tools (Model Context Protocol)", "bmretriever mcp my-index"),
    "evaluate": _Command(
        "score retrieval on the paper's data sets or BEIR folders, beside BM25",
        "bmretriever evaluate scifact my-task --model mini",
    ),
    "build": _Command("make an evaluation task from its official files", "bmretriever build mesh desc2026.xml"),
    "export": _Command(
        "write a checkpoint as a folder with which plain sentence-transformers computes the right vectors",
        "bmretriever export 410M --to bmretriever-410m-st",
    ),
    "check-vectors": _Command(
        "tell which known mistake made vectors that you have",
        "bmretriever check-vectors vectors.npy --texts papers.jsonl --model 410M",
    ),
    "models": _Command("list the checkpoints, their facts, and which are on this machine", "bmretriever models"),
    "demo": _Command("index real PubMed records and ask three questions, offline", "bmretriever demo --limit 500"),
}


def _parsers(chosen: str | None) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser | None]:
    """Make the parser of all arguments and, where a command is named, that of its own."""
    parser = Parser(prog="bmretriever", description="Biomedical retrieval with BMRetriever's exact vectors.")
    parser.add_argument("--version", action="version", version=f"bmretriever {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    of_command = None
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=command.summary,
            description=textwrap.fill(command.summary[0].upper() + command.summary[1:] + ".", HELP_COLUMNS),
            epilog=f"example:\n  {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == chosen:
            _module(name).add_arguments(sub)
            of_command = sub
    return parser, of_command


def _module(name: str) -> Any:
    return importlib.import_module(f"bmretriever_integrations.commands.{name.replace('-', '_')}")


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    :param argv: the arguments of the command; None takes those of the process.
    :returns: exit status: 0; 2 after an error, which is printed as one line; 130 after Ctrl-C.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    # Python searches all objects for garbage when it ends, which takes more than a second after a search; frozen ones it skips
    atexit.register(gc.freeze)

    def work() -> int:
        parser, of_command = _parsers(given[0] if given else None)
        more_words = getattr(_module(given[0]), "MORE_WORDS", None) if of_command is not None else None
        arguments = read_arguments(parser, given, of_command, more_words)
        status: int = _module(arguments.command).run(arguments)
        return status

    return status_of(work)
