"""The plain text of an XML element with markup: words stay apart, numbers stay what they are."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.entities import html5
from typing import Any

from lxml import etree

# Places that need a decision once the text on both sides is known. XML cannot contain these characters.
OPEN, CLOSE, STRONG_OPEN, STRONG_CLOSE, RAISED, LOWERED, LEVEL = "\x00", "\x01", "\x02", "\x03", "\x04", "\x05", "\x06"
INLINE = {"i": (OPEN, CLOSE), "b": (STRONG_OPEN, STRONG_CLOSE), "u": (STRONG_OPEN, STRONG_CLOSE)}
INLINE |= {"sup": (RAISED, LEVEL), "sub": (LOWERED, LEVEL)}
INLINE |= {"italic": INLINE["i"], "bold": INLINE["b"], "underline": INLINE["u"]}
"""Name of an element, of PubMed or of JATS -> what stands for its edges."""
ALIASES = {"em": "i", "italic": "i", "strong": "b", "bold": "b"}

INVISIBLE = "\u200b\u2060\ufeff\u00ad"
"""Zero-width space, word joiner, byte order mark, soft hyphen: left by typesetting, they split words for a tokenizer."""
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
TAG = re.compile(
    r"<(/?)(p|br|div|span|font|a|o:p|h[1-6]|li|ul|ol|table|tr|td|i|b|u|em|strong|italic|bold|sup|sub|sc)"
    r"(?:\s+[\w:-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'))*\s*/?>"
)
"""A tag that was escaped, so that XML takes it for text. Others ("<r>", "p <b and c> d") may be formulas and stay."""
APART = ("p", "br", "div", "o:p", "h1", "h2", "h3", "h4", "h5", "h6", "li", "ul", "ol", "table", "tr", "td")

WORD = r"[^\W_]"
EDGE = re.compile(rf"[\x00-\x03]+(?=(?P<right>{WORD}*)(?P<after>[\x00-\x06]?))")
ANY_PLACE = re.compile(r"[\x00-\x06]")
SHORT_WORD = re.compile(
    "the|an|and|or|of|in|on|to|for|by|at|as|is|are|was|were|with|from|that|than|this|these|into|via|per|where|while|when|but"
    "|not|its|can|may",
    re.IGNORECASE,
)
"""Words that are whole although they are short."""
MINUS = r"[\-\u2212\u2013]"
# Each begins with its mark, for which a regular expression searches fast, and looks back from there.
MIXED = re.compile(r"\x04(?<=\d\x04)(?=\d+(?:/\d+\x06|\x06[/\u2044]\x05\d))")  # 24 weeks and 0/7: no power
POWER = re.compile(rf"\x04(?<=\d\x04)(?:(?={MINUS}?\d)|(?<!{WORD}\d\x04)(?={MINUS}\w))")
INDEX = re.compile(r"\x05(?<=\d\x05)(?=\d)")
NUMBER_AFTER = re.compile(r"\x06(?<=\d\x06)(?=\d)")


def plain_text(element: Any) -> str:
    """
    Give the text of an element without its markup.

    A space is put at the edges of italics, bold and underlining where two whole words would become one, never at sub- and
    superscripts. A power of a number becomes ``10^6``, a fraction ``1/2``. What was escaped twice (``&amp;lt;``) is unescaped,
    escaped tags are dropped, and so are invisible characters.

    :param element: an lxml element, or None.
    :returns: the text, with one space for any white space; "" for None.
    """
    if element is None:
        return ""
    return clean("".join(_pieces(element)) if len(element) else element.text or "")


def clean(text: str) -> str:
    """
    Repair a text of an XML source (see :func:`plain_text`).

    :param text: the text of an element or an attribute.
    """
    if "&" in text:
        text = ENTITY.sub(_character, text)
    if "<" in text:
        text = TAG.sub(_mark_of, text)
    for mark in INVISIBLE if not text.isascii() else "":
        text = text.replace(mark, "")
    if ANY_PLACE.search(text):
        text = _decide(EDGE.sub(_edge, text))
    return " ".join(text.split())


def _decide(text: str) -> str:
    """Write powers, indices and mixed numbers so that no digits are glued to others."""
    text = NUMBER_AFTER.sub(" ", MIXED.sub(" ", text)).replace(LEVEL, "")
    return INDEX.sub("_", POWER.sub("^", text)).replace(RAISED, "").replace(LOWERED, "")


def _character(entity: re.Match[str]) -> str:
    name = entity[0][1:]
    return html.unescape(entity[0]) if name[0] == "#" else html5.get(name, entity[0])


def _pieces(element: Any) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        name = etree.QName(child).localname if isinstance(child.tag, str) else ""  # an entity has no name
        if name == "math":
            yield formula_text(child)
        elif child.tag is etree.Entity:
            yield child.text
        elif name:
            first, last = INLINE.get(name, ("", ""))
            yield first
            yield from _pieces(child)
            yield last
        yield child.tail or ""


def _mark_of(tag: re.Match[str]) -> str:
    name = ALIASES.get(tag[2], tag[2])
    return " " if name in APART else INLINE.get(name, ("", ""))[bool(tag[1])]


def _edge(found: re.Match[str]) -> str:
    text, marks, right, begin = found.string, found[0], found["right"], found.start()
    while begin and text[begin - 1].isalnum():
        begin -= 1
    left, before = text[begin : found.start()], text[begin - 1] if begin else " "
    opens, strong = marks[0] in (OPEN, STRONG_OPEN), OPEN not in marks and CLOSE not in marks
    goes_on = before <= LEVEL if opens else found["after"] != ""  # the outside word goes on into another element
    outside, inside = (left, right) if opens else (right, left)
    apart = left and right and not goes_on and _whole(outside, inside, opens, not strong or right[0].isupper())
    return " " if apart else ""


def _whole(outside: str, inside: str, opens: bool, long_too: bool) -> bool:
    """
    Tell whether both sides are whole words, and not a gene name (*bla*TEM), a plural (*OBP*s) or letters of an acronym.

    :param outside: the word outside the element.
    :param inside: the word inside the element.
    :param opens: whether the element begins between them.
    :param long_too: whether any long word counts, or only those of :data:`SHORT_WORD`: bold letters may spell an acronym.
    """
    if not outside.isalpha() or not outside[1:].islower():
        return False
    if SHORT_WORD.fullmatch(outside):
        return opens or len(inside) >= 3
    return long_too and len(outside) >= 4 and len(inside) >= 3


def formula_text(element: Any) -> str:
    """
    Give the plain form of MathML, with marks that :func:`clean` needs; white space between its elements stays.

    :param element: an element of MathML.
    """
    name = etree.QName(element).localname
    children = [child for child in element if isinstance(child.tag, str) and "}annotation" not in child.tag]
    parts = [formula_text(child) for child in children]
    if name == "mfrac" and len(parts) == 2:
        return f"{_grouped(parts[0])}/{_grouped(parts[1])}"
    if name in ("msup", "msub") and len(parts) == 2:
        return f"{parts[0].strip()}{RAISED if name == 'msup' else LOWERED}{''.join(parts[1].split())}{LEVEL}"
    if name == "msubsup" and len(parts) == 3:
        base, low, high = ("".join(part.split()) for part in parts)
        return f"{base}{LOWERED}{low}{LEVEL}{RAISED}{high}{LEVEL}"
    text = element.text or ""
    for child, part in zip(children, parts, strict=True):
        apart = text[-1:].isdigit() and part[:1].isdigit()
        text += f"{' ' if apart else ''}{part}{child.tail or ''}"
    return "\u221a" + _grouped(text) if name == "msqrt" else text


def _grouped(part: str) -> str:
    part = part.strip()
    return part if re.fullmatch(r"[\w.]*", part) else f"({part})"
