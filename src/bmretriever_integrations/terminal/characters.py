"""Replace the characters with which a text could control a terminal."""

from __future__ import annotations

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""What stands for a character that is not printed."""

# Codes of ASCII and of C1 (ESC, BEL, U+009B, ...), with which a terminal is cleared, renamed or given a link or a clipboard.
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
# Marks, embeddings, overrides and isolates, with which a text can be shown in another order than it is stored.
_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x2070))
# Halves of a character: no encoding of a console has them.
_SURROGATES = range(0xD800, 0xE000)
# Whatever ends a line, and the tabulator: a text within a line or a cell does not begin another one.
_BREAKS = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"

_TABLE = dict.fromkeys((*_CONTROLS, *_DIRECTIONS, *_SURROGATES), REPLACEMENT) | dict.fromkeys(map(ord, _BREAKS), " ")
_TABLE_OF_LINES: dict[int, str] = {code: to for code, to in _TABLE.items() if code != ord("\n")}
_ESCAPES: dict[int, str] = {code: f"\\u{code:04x}" for code in _TABLE if code >= 0x7F}


def printable(text: str) -> str:
    r"""
    Replace what would control a terminal, so that a text from data is shown as text and in one line.

    :param text: an id, a title, a text, a path or an error message.
    :returns: the text, as long as before. Line breaks and tabulators became spaces; other control characters, marks that change
        the direction of writing and lone surrogates became U+FFFD.
    """
    return text.translate(_TABLE)


def printable_lines(text: str) -> str:
    """
    Do what :func:`printable` does, but keep the line breaks.

    :param text: a text of several lines.
    """
    return text.translate(_TABLE_OF_LINES)


def escaped(document: str) -> str:
    r"""
    Write what would control a terminal as JSON's escapes, so that nothing is lost.

    :param document: JSON. What is below U+0020 is escaped in its strings already.
    :returns: the same document, in which e.g. U+009B stands as ``\u009b``.
    """
    return document.translate(_ESCAPES)
