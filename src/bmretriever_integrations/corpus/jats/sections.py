"""The sections of an article in reading order, each with a key that names it and the path of headings above it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bmretriever_integrations.corpus.jats.facts import LANGUAGE
from bmretriever_integrations.corpus.jats.text import FLOATS, LEFT_OUT, text_of
from bmretriever_integrations.corpus.pubmed_metadata import child

KEY_CHARACTERS = 40
"""Most characters of a heading in a key."""
NO_TEXT = LEFT_OUT | {"title", "caption", "sec-meta", "ref-list", "ack", "fn-group", "glossary", "bio", "notes"}
"""Elements of which nothing is read: headings are read by themselves, and the others say nothing about the subject."""
ASIDE = re.compile(
    r"acknowledge?ments?|funding(?: \w+)*|financial support.*|(?:declarations? of |statement of )?(?:competing|conflicts? of|"
    r"conflicting|financial)(?: financial)? (?:interests?|disclosures?)(?: statement)?|disclosures?(?: statement)?|"
    r"(?:author'?s?'? |credit authorship )?contributions?(?: statement)?|author contributions?.*|"
    r"supp(?:lementary|orting|lemental) (?:materials?|information|data|files?)|additional files?|abbreviations?|"
    r"references|pre-publication history|publisher'?s note|consent (?:for|to) publication"
)
"""Whole headings of sections that say nothing about the subject."""
NUMBERING = re.compile(r"\A(?:\d{1,2}\.(?:\d{1,2}\.?)*|[IVX]{1,5}\.)\s+(?=[^\W\d_a-z])")
"""The number that some publishers write into a heading: "2.1. Patients", but not "2.5 mg of zinc"."""
FIGURES, TABLES = ("fig", "fig-group"), ("table-wrap", "table-wrap-group")


@dataclass(frozen=True, slots=True)
class Section:
    """One section without those inside it, or one caption or box."""

    key: str
    """Names it in its article: ``results.2`` is the second section in the one called Results."""
    path: tuple[str, ...]
    """Its headings, outermost first."""
    heading: str
    """What stands before its text; "" if nothing does."""
    text: str


def sections_of(article: Any, meta: Any) -> list[Section]:
    """
    Read the sections that have a text: abstracts, body, appendices and other sections behind it, captions, boxes.

    The bodies of tables, lists of references, footnotes, files of supplements, acknowledgements, and sections whose heading is
    one of :data:`ASIDE` are left out, as are the letters and translations that follow an article as further ones.

    :param article: the element of the article.
    :param meta: its element ``article-meta``.
    """
    outline = _Outline()
    for abstract in (*meta.iterchildren("abstract"), *meta.iterchildren("trans-abstract")):
        if abstract.tag == "abstract" or (abstract.get(LANGUAGE) or "").lower().startswith("en"):
            outline.abstract(abstract)
    body, back = child(article, "body"), child(article, "back")
    if body is not None:
        outline.section(body, "body", ())
    for part in () if back is None else back.iter("sec", "app"):
        if part.getparent() is back or part.getparent().tag == "app-group":
            outline.inner(part, (), "")
    for tag in ("floats-group", "floats-wrap"):
        outline.floats(article.iterchildren(tag), ())
    return outline.sections


class _Outline:
    def __init__(self) -> None:
        self.sections: list[Section] = []
        self._keys: Counter[str] = Counter()
        self._floats: Counter[str] = Counter()

    def abstract(self, element: Any) -> None:
        kind = _slug(element.get("abstract-type") or "")
        parts = [_labelled(part) for part in element if isinstance(part.tag, str) and part.tag not in NO_TEXT]
        title = _heading(element) or "Abstract"
        text = " ".join(filter(None, parts))
        if not any(text == other.text for other in self.sections):
            self._add(f"abstract-{kind}" if kind else "abstract", (title,), "", text)

    def section(self, element: Any, key: str, path: tuple[str, ...], heading: str = "") -> None:
        """Take a section, then its captions and boxes, then the sections inside it."""
        blocks: list[str] = []
        floats: list[Any] = []
        inner: list[Any] = []
        for part in element:
            if not isinstance(part.tag, str) or part.tag in NO_TEXT:
                continue
            if part.tag in ("sec", "app"):
                inner.append(part)
            elif part.tag in FLOATS:
                floats.append(part)
            else:
                blocks.append(text_of(part, floats))
        key = self._add(key, path or ("Body",), heading, "\n\n".join(filter(None, blocks)))
        self.floats(floats, path)
        for number, part in enumerate(inner, 1):
            self.inner(part, path, f"{key}.{number}" if path else "")

    def inner(self, element: Any, path: tuple[str, ...], key: str) -> None:
        """Take a section of another one, or, without a key, one of the article's own."""
        heading = _heading(element)
        if ASIDE.fullmatch(heading.lower().replace("\u2019", "'")) or "supplement" in (element.get("sec-type") or ""):
            return
        self.section(element, key or _slug(heading) or element.tag, (*path, heading or "Section"), heading)

    def floats(self, elements: Iterable[Any], path: tuple[str, ...]) -> None:
        for element in elements:
            if element.tag == "boxed-text":
                heading = _heading(element)
                self.section(element, self._numbered("box"), (*path, heading or "Box"), heading)
            elif element.tag in (*FIGURES, *TABLES):
                self._caption(element, "fig" if element.tag in FIGURES else "table", path)
            elif element.tag in ("floats-group", "floats-wrap"):
                self.floats(element, path)

    def _caption(self, element: Any, kind: str, path: tuple[str, ...]) -> None:
        caption, label = child(element, "caption"), text_of(child(element, "label")).rstrip(" .:")
        text = " ".join(filter(None, (text_of(part) for part in (() if caption is None else caption))))
        if text or label:
            key = self._numbered(kind)
            if text:
                self._add(key, (*path, label or kind.replace("fig", "figure").title()), label, text)
        self.floats(element.iterchildren(*FIGURES, *TABLES), path)

    def _numbered(self, kind: str) -> str:
        self._floats[kind] += 1
        return f"{kind}.{self._floats[kind]}"

    def _add(self, key: str, path: tuple[str, ...], heading: str, text: str) -> str:
        """Note a section if it has a text. No two have the same key."""
        while self._keys[key]:
            self._keys[key] += 1
            key = f"{key}-{self._keys[key]}"
        self._keys[key] += 1
        if text:
            self.sections.append(Section(key, path, heading, text))
        return key


def _labelled(part: Any) -> str:
    """Give a part of an abstract with its heading, as PubMed does."""
    if part.tag != "sec":
        return text_of(part)
    heading = _heading(part)
    text = " ".join(
        filter(None, (_labelled(one) for one in part if isinstance(one.tag, str) and one.tag not in NO_TEXT))
    )
    return f"{heading}: {text}" if heading and text else text


def _heading(element: Any) -> str:
    title = child(element, "title")
    if title is None:
        title = child(child(element, "caption"), "title")
    return NUMBERING.sub("", text_of(title).rstrip(" .:"))


def _slug(heading: str) -> str:
    """Make a key of a heading: its letters and numbers, of any script."""
    return re.sub(r"[\W_]+", "-", heading.lower()).strip("-")[:KEY_CHARACTERS].rstrip("-")
