"""Read arguments of the command line, and name the program in further commands that a user may copy."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from bmretriever_integrations.checkpoints import find_checkpoint
from bmretriever_integrations.settings import MAX_LENGTH


def positive(word: str) -> int:
    """
    Read a whole number above 0.

    :param word: the argument.
    :raises argparse.ArgumentTypeError: if it is not such a number.
    """
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {word!r}")
    return int(word)


def add_max_length(parser: argparse.ArgumentParser) -> None:
    """
    Declare ``--max-length``.

    :param parser: the parser of a command.
    """
    parser.add_argument(
        "--max-length",
        type=positive,
        default=MAX_LENGTH,
        metavar="N",
        help="the most tokens of a text (default: %(default)s)",
    )


def absolute(model: str) -> str:
    """
    Make the path of a model's folder absolute, so that a later search finds it from another working folder.

    :param model: the argument. A hub id or a short name is returned unchanged.
    """
    folder = Path(model).expanduser()
    return str(folder.resolve()) if find_checkpoint(model) is None and folder.is_dir() else model


def this_program() -> str:
    """
    Find the words with which the user's shell calls this program again.

    :returns: ``bmretriever`` where the shell finds this one by its name, else the path by which it was called, else Python's
        path and ``-m``.
    """
    called = Path(sys.argv[0])
    if called.stem.casefold() != "bmretriever" or not called.is_file():
        return f"{shlex.quote(sys.executable)} -m bmretriever_integrations"
    found = shutil.which("bmretriever")
    return "bmretriever" if found and called.samefile(found) else shlex.quote(str(called))
