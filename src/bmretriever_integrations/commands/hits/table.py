"""Print hits as a table."""

from __future__ import annotations

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from bmretriever_integrations.hits.answers import Answer
from bmretriever_integrations.hits.facts import address_of, date_of, fact, marks_of, pmid_of
from bmretriever_integrations.hits.snippets import pattern_of, snippet
from bmretriever_integrations.index import Hit
from bmretriever_integrations.terminal.characters import printable

TITLE_CHARACTERS = 400
"""The most characters of a title; PubMed's longest titles of papers have about as many."""
ID_CHARACTERS = 200
"""The most characters of an id."""
NARROW = 60
"""Columns below which the parts of a hit stand below each other, as a column for the title would be of single words."""


def print_table(console: Console, answer: Answer) -> None:
    """
    Print a ranked list: rank, score, year, PMID or id, and below each other title, journal, section
    of a full text, and the part of the text that fits.

    A long id is folded, so that it leaves most of the width to the title. A narrow console has no columns. Where the terminal has
    links, a PMID is one.

    :param console: the console to which the list is printed.
    :param answer: the question, whose words are shown in other letters, and its hits.
    """
    hits = answer.hits
    if console.width < NARROW:
        for hit in hits:
            console.print(Text(f"{hit.rank}  {hit.score:.2f}  {date_of(hit)[:4]}  ").append_text(_id_of(hit)))
            console.print(_description(hit, answer.question.text))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("rank", "score", "year"):
        table.add_column(name, justify="right", no_wrap=True)
    heading = "PMID" if all(pmid_of(hit) == hit.id for hit in hits) else "id"
    table.add_column(heading, overflow="fold", max_width=max(8, console.width // 4))
    table.add_column("title, journal, text", overflow="fold")
    for hit in hits:
        numbers = (str(hit.rank), f"{hit.score:.2f}", date_of(hit)[:4])
        table.add_row(*numbers, _id_of(hit), _description(hit, answer.question.text))
    console.print(table)


def _id_of(hit: Hit) -> Text:
    """Return the id, as a link if it has an address. The formats of programs have a long one whole."""
    address = address_of(hit)
    return Text(_shortened(printable(hit.id), ID_CHARACTERS), style=Style(link=address) if address else "")


def _description(hit: Hit, question: str) -> Text:
    """Return title, journal, section and snippet, each in a line of its own. A ``Text`` shows "[Article in French]" unchanged."""
    marks = [Text(printable(mark), style="bold red") for mark in marks_of(hit)]
    title = Text(_shortened(printable(hit.title)) or "(no title)", style="bold")
    part = Text(printable(snippet(hit.text, question)), style="dim")
    pattern = pattern_of(question)
    if pattern is not None:
        part.highlight_regex(pattern, style="not dim bold")
    journal = Text(_shortened(printable(fact(hit, "journal"))), style="italic")
    section = Text(_shortened(printable(fact(hit, "section"))))
    return Text("\n").join(line for line in (*marks, title, journal, section, part) if line)


def _shortened(text: str, most: int = TITLE_CHARACTERS) -> str:
    """Cut a text that would fill the screen."""
    return text if len(text) <= most else f"{text[:most]} ..."
