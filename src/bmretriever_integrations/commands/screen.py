"""Hits -> a list on the screen."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bmretriever_integrations.index import Hit

SNIPPET_CHARACTERS = 240
PIPE_COLUMNS = 120
"""Columns of the list where the output is no terminal."""


def open_console() -> Console:
    """Open standard output for tables."""
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_COLUMNS
    return console


def print_hits(console: Console, hits: Sequence[Hit], question: str) -> None:
    """
    Print a ranked list: rank, score, id, title, and the part of the text that shares most words with the question.

    :param console: where to.
    :param hits: best first.
    :param question: what was asked.
    """
    table = Table(box=None, pad_edge=False, show_header=False)
    for justify in ("right", "right", "left"):
        table.add_column(justify=justify, no_wrap=True)
    table.add_column(overflow="fold")
    for hit in hits:
        # Text takes "[Article in French]" as it stands; a plain string would be read as markup
        table.add_row(str(hit.rank), f"{hit.score:.2f}", Text(hit.id), Text(hit.title or "(no title)", style="bold"))
        if hit.text:
            table.add_row("", "", "", Text(snippet(hit.text, question), style="dim"))
    console.print(table)


def snippet(text: str, question: str, characters: int = SNIPPET_CHARACTERS) -> str:
    """
    Cut the part out of a text that shares most words with a question.

    :param text: the text of a record.
    :param question: what was asked.
    :param characters: at most this many, but for the dots.
    :returns: whole words, with "..." where something was left out.
    """
    flat = " ".join(text.split())
    if len(flat) <= characters:
        return flat
    wanted = {word for word in re.findall(r"\w+", question.casefold()) if len(word) > 3}
    starts = [0, *(match.end() for match in re.finditer(r"[.;:?!] ", flat))]

    def shared(at: int) -> int:
        return len(wanted.intersection(re.findall(r"\w+", flat[at : at + characters].casefold())))

    most = max(map(shared, starts))
    start = max(at for at in starts if shared(at) == most) if most else 0
    part = flat[start : start + characters]
    if start + characters < len(flat):
        part = part.rsplit(" ", 1)[0] + " ..."
    return f"... {part}" if start else part


def silence_libraries() -> None:
    """Leave errors only; a download keeps its bar, as it can take minutes."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # else forking after tokenizing prints a warning
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
