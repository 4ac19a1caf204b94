"""The plain text of a JATS element: as of PubMed's markup, and without citation numbers, TeX and what floats beside the text."""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

from bmretriever_integrations.corpus.markup import INLINE, LEVEL, RAISED, clean, formula_text

CITED = "\x07"
"""Stands for a citation number until the text around it is known. XML cannot contain this character."""
FLOATS = frozenset(
    ("fig", "fig-group", "table-wrap", "table-wrap-group", "boxed-text", "supplementary-material", "media", "ref-list")
)
"""Elements that stand inside a text and are no part of it."""
LEFT_OUT = frozenset(
    (
        *("tex-math", "graphic", "inline-graphic", "table", "label", "fn"),
        *("object-id", "alt-text", "long-desc", "attrib", "permissions"),
        *("chem-struct", "index-term", "private-char", "annotation"),
        *("annotation-xml"),
    )
)
BLOCKS = frozenset(
    (
        *("p", "title", "list", "list-item", "def-list", "def-item", "term"),
        *("def", "disp-quote", "disp-formula", "statement", "speech"),
        *("speaker", "verse-group", "verse-line", "preformat", "break", "sec"),
        *("array", "question", "answer"),
    )
)
"""Elements whose words are apart from those around them."""
NOTES = ("fn", "table-fn", "aff", "corresp", "author-notes")
"""What a reference mark, such as a raised asterisk, points to."""
MARK_CHARACTERS = 3

NUMBERS = re.compile(r"\W*(?:\d{1,3}[a-z]?(?:\W+|$))*")
"""The text of a citation by number. A year, as in "Smith (2008)", has four digits and stays."""
RUN = re.compile(r"\x07(?:[\s\x04\x06]*(?:[,;\-\u2010-\u2015\u2212]|and\b|&)?[\s\x04\x06]*\x07)+")
REFERENCE = re.compile(r"\((?:see |e\.g\.,? )?(?:refs?\.?|references?)\s*\Z")
REFERENCE_CHARACTERS = 30


def text_of(element: Any, floats: list[Any] | None = None) -> str:
    """
    Give the text of an element without its markup (:func:`~..markup.plain_text` says how markup is read).

    Numbers of citations are dropped with their brackets, "(Smith et al., 2008)" stays. Of a formula its MathML is read, never its
    TeX or its picture. Labels, footnotes and :data:`FLOATS` are left out.

    :param element: an element of JATS without a namespace, or None.
    :param floats: gets the :data:`FLOATS` inside the element.
    :returns: the text, with one space for any white space; "" for None.
    """
    if element is None:
        return ""
    if not len(element):
        return clean(element.text or "")
    pieces: list[str] = []
    _collect(element, pieces, [] if floats is None else floats)
    text = "".join(pieces)
    if CITED in text:
        text = _without_citations(RUN.sub(CITED, text))
    return clean(text)


def _collect(element: Any, pieces: list[str], floats: list[Any]) -> None:
    if element.text:
        pieces.append(element.text)
    for child in element:
        tag = child.tag
        if isinstance(tag, str):
            _add(child, tag.rpartition("}")[2], pieces, floats)
        elif tag is etree.Entity:
            pieces.append(child.text)
        if child.tail:
            pieces.append(child.tail)


def _add(child: Any, name: str, pieces: list[str], floats: list[Any]) -> None:
    if name in LEFT_OUT:
        return
    if name in FLOATS:
        floats.append(child)
    elif name == "xref" and _is_mark(child):
        pieces.append(CITED)
    elif name == "math":
        pieces.append(formula_text(child))
    elif name == "alternatives":
        _add_first(child, pieces, floats)
    elif name in INLINE:
        first, last = INLINE[name]
        pieces.append(first)
        _collect(child, pieces, floats)
        pieces.append(last)
    elif name in BLOCKS:
        pieces.append(" ")
        _collect(child, pieces, floats)
        pieces.append(" ")
    else:
        _collect(child, pieces, floats)


def _add_first(element: Any, pieces: list[str], floats: list[Any]) -> None:
    """Add the first of several forms of the same content that is a text."""
    for child in element:
        before = len(pieces)
        if isinstance(child.tag, str):
            _add(child, child.tag.rpartition("}")[2], pieces, floats)
        if len(pieces) > before:
            return


def _without_citations(text: str) -> str:
    left, *rest = text.split(CITED)
    done = []
    for part in rest:
        left, right = _joined(*_joined(left.rstrip(), part))  # brackets may stand inside or outside of a raised text
        if left.endswith((",", ";")):
            left = left[:-1]
        elif left.endswith(("(", "[")):
            right = right.lstrip(" ,;")
        elif left.endswith(".") and right.startswith("."):
            right = right[1:]
        done.append(left)
        left = right
    return "".join([*done, left])


def _joined(left: str, right: str) -> tuple[str, str]:
    """Take away what stood around a citation alone: brackets, or the marks of a raised text."""
    after = right.lstrip()
    if left.endswith(RAISED) and after.startswith(LEVEL):
        return left[:-1].rstrip(), after[1:]
    if after.startswith((")", "]")):
        if left.endswith(("(", "[")):
            return left[:-1].rstrip(), after[1:]
        found = REFERENCE.search(left[-REFERENCE_CHARACTERS:])
        if found is not None:
            return left[: found.start() - min(len(left), REFERENCE_CHARACTERS)].rstrip(), after[1:]
    return left, right


def _is_mark(xref: Any) -> bool:
    """Tell whether a reference is a number or sign that says nothing without what it points to."""
    kind, text = xref.get("ref-type"), "".join(xref.itertext())
    if kind == "bibr":
        return NUMBERS.fullmatch(text) is not None
    return kind in NOTES and len(text.strip()) <= MARK_CHARACTERS
