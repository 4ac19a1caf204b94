"""Define the ``bmretriever`` command: list its subcommands, run one of them, and print its errors."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from bmretriever_integrations.versions import VERSION

INTERRUPTED = 130
"""Exit status after Ctrl-C, the same as in shells: 128 + SIGINT."""
USER_ERROR = 2
"""Exit status after an error that the user can correct."""


class Parser(argparse.ArgumentParser):
    """An argument parser that prints its errors in one line, as all commands do."""

    def error(self, message: str) -> NoReturn:
        """
        Print an error and end the process.

        :param message: the fault in the arguments.
        """
        self.exit(USER_ERROR, f"error: {message} (see {self.prog} --help)\n")


def status_of(work: Callable[[], int]) -> int:
    """
    Run a command and print its error, if it raises one, as one line on stderr.

    :param work: the command; it returns its exit status.
    :returns: that status; 2 after an error that the user can correct; 130 after Ctrl-C.
    """
    try:
        status = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, OSError, ImportError, FloatingPointError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return USER_ERROR
    return status


@dataclass(frozen=True)
class _Command:
    summary: str
    example: str


# commands/<name>.py defines add_arguments(parser) and run(arguments) -> exit status; only the requested command is imported.
COMMANDS = {
    "index": _Command(
        "embed PubMed or BEIR files into a folder that can be searched",
        "bmretriever index pubmed26n0001.xml.gz --to my-index --model 410M",
    ),
    "search": _Command("search an index", 'bmretriever search my-index "Does metformin lower mortality in COVID-19?"'),
    "evaluate": _Command(
        "score retrieval on the paper's data sets or BEIR folders, beside BM25",
        "bmretriever evaluate scifact my-task --model mini",
    ),
    "build": _Command("make an evaluation task from its official files", "bmretriever build mesh desc2026.xml"),
    "export": _Command(
        "write a checkpoint as a folder with which plain sentence-transformers computes the right vectors",
        "bmretriever export 410M --to bmretriever-410m-st",
    ),
    "models": _Command("list the checkpoints, their facts, and which are on this machine", "bmretriever models"),
    "demo": _Command("index real PubMed records and ask three questions, offline", "bmretriever demo --limit 500"),
}


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = Parser(prog="bmretriever", description="Biomedical retrieval with BMRetriever's exact vectors.")
    parser.add_argument("--version", action="version", version=f"bmretriever {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=command.summary,
            description=command.summary[0].upper() + command.summary[1:] + ".",
            epilog=f"example:\n  {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == chosen:
            _module(name).add_arguments(sub)
    return parser


def _module(name: str) -> Any:
    return importlib.import_module(f"bmretriever_integrations.commands.{name}")


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    :param argv: the arguments of the command; None takes those of the process.
    :returns: exit status: 0; 2 after an error that the user can correct, which is printed as one line; 130 after Ctrl-C.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser(given[0] if given else None).parse_args(given)
    return status_of(lambda: _module(arguments.command).run(arguments))
