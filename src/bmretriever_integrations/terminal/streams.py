"""Write lines to standard output and standard error."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import TextIO

from bmretriever_integrations.terminal.characters import printable


def show_every_character() -> None:
    r"""
    Let standard output and standard error show a character that their encoding lacks as its code, e.g. ``\u03b1`` for alpha.

    On Windows the encoding of a pipe has 256 characters. Without this, the first other one ends the command.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write_lines(lines: Iterable[str], stream: TextIO | None = None) -> None:
    """
    Write lines that may contain text from data.

    :param lines: the lines, each without a line break; one within a line becomes a space.
    :param stream: where they are written; None for standard output.
    """
    (stream or sys.stdout).write("".join(f"{printable(line)}\n" for line in lines))
