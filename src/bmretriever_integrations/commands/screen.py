"""Print hits as a list."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bmretriever_integrations.index import Hit
from bmretriever_integrations.terminal.characters import printable

SNIPPET_CHARACTERS = 240
"""The most characters of a snippet."""
TITLE_CHARACTERS = 400
"""The most characters of a title; PubMed's longest titles of papers have about as many."""
SNIPPET_SOURCE_CHARACTERS = 100_000
"""The most characters of a text in which a snippet is looked for."""


def print_hits(console: Console, hits: Sequence[Hit], question: str) -> None:
    """
    Print a ranked list: rank, score, id, title, and the part of the text that shares most words with the question.

    A long id is folded, so that it leaves two thirds of the width to the title.

    :param console: the console to which the list is printed.
    :param hits: the hits, best first.
    :param question: the question of the user.
    """
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("id", overflow="fold", max_width=max(8, console.width // 3))
    table.add_column("title and text", overflow="fold")
    for hit in hits:
        # Text prints "[Article in French]" unchanged; in a plain string it would be read as markup
        title = Text(shortened(printable(hit.title)) or "(no title)", style="bold")
        table.add_row(str(hit.rank), f"{hit.score:.2f}", Text(printable(hit.id)), title)
        if hit.text:
            table.add_row("", "", "", Text(printable(snippet(hit.text, question)), style="dim"))
    console.print(table)


def shortened(title: str) -> str:
    """
    Cut a title that would fill the screen.

    :param title: the title.
    :returns: at most ``TITLE_CHARACTERS`` characters of it, with "..." where it was cut.
    """
    return title if len(title) <= TITLE_CHARACTERS else f"{title[:TITLE_CHARACTERS]} ..."


def snippet(text: str, question: str, characters: int = SNIPPET_CHARACTERS) -> str:
    """
    Find the part of a text that shares most words with a question.

    :param text: the text of a record.
    :param question: the question of the user.
    :param characters: the most characters of the part, without the dots.
    :returns: whole words, with "..." where text was left out.
    """
    flat = " ".join(text[:SNIPPET_SOURCE_CHARACTERS].split())
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
    """Let transformers print errors only. Downloads still show a progress bar, because they can take minutes."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # else forking after tokenizing prints a warning
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
