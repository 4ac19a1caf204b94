"""No text from data controls the terminal, and a text stays as long as it was."""

from __future__ import annotations

import io
import unicodedata

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bmretriever_integrations.terminal.characters import printable, printable_lines
from bmretriever_integrations.terminal.console import open_console
from bmretriever_integrations.terminal.streams import write_lines

DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
MARKS = "\u061c\u200e\u200f"
HOSTILE = {
    "clear": "a\x1b[2Jb",
    "link": "\x1b]8;;https://example.org\x1b\\here\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0=\x07",
    "eight-bit": "\x9b2J\x9d0;title\x9c",
    "overwritten": "right\r\x08wrong",
    "forged row": "one\n 2  99.9  forged\u2028row",
    "direction": "abc\u202edef\u2066ghi",
}
REMAINS = {
    "clear": "[2Jb",
    "link": "https://example.org",
    "clipboard": "]52;c;cm0=",
    "eight-bit": "0;title",
    "overwritten": "wrong",
    "forged row": "forged row",
    "direction": "def",
}


def dangerous(text: str) -> list[str]:
    """Its characters that control a terminal or change the direction of writing, by what Unicode says of them."""
    return [
        character
        for character in text
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in DIRECTIONS
        or character in MARKS
    ]


def test_every_character_that_controls_a_terminal_is_replaced() -> None:
    every = "".join(map(chr, range(0x110000)))
    shown = printable(every)
    assert len(shown) == len(every)
    assert dangerous(shown) == []
    changed = {c for c, to in zip(every, shown, strict=True) if c != to}
    assert {unicodedata.category(c) for c in changed} == {"Cc", "Cs", "Cf", "Zl", "Zp"}
    assert printable_lines("a\nb\tc\x1b") == "a\nb c\N{REPLACEMENT CHARACTER}"


def test_ordinary_texts_stay_as_they_are() -> None:
    for text in ("TNF-α ≥ 5 µg/ml", "naïve [red] 10⁶", "Žižková", "癌症", "می‌خواهم", "👩‍⚕️", "דם"):
        assert printable(text) == text


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_is_printed_is_dangerous(name: str, capsys) -> None:
    text = HOSTILE[name]
    stream = io.StringIO()
    write_lines([text, "next"], stream)
    assert stream.getvalue().count("\n") == 2
    assert dangerous(stream.getvalue().replace("\n", "")) == []
    table = Table(text, title=text, caption=text)
    table.add_row(text)
    table.add_row(Text(text))
    console = open_console()
    for content in (text, table, Panel(Text(text), title=text, subtitle=Text(text))):
        console.print(content)
    out = capsys.readouterr().out
    assert dangerous(out.replace("\n", "")) == []
    assert REMAINS[name] in out
