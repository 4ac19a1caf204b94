"""Which article this is: its ids, title, version, kind, and whether it still counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bmretriever_integrations.corpus.jats.text import text_of
from bmretriever_integrations.corpus.metadata import DOI, PMCID
from bmretriever_integrations.corpus.pubmed_metadata import NUMBER, child

HREF = "{http://www.w3.org/1999/xlink}href"
PMID = re.compile(r"[1-9][0-9]{0,8}")
VERSION = re.compile(r"\.([0-9]{1,6})$")
TYPES = {
    "abstract": "Meeting Abstract",
    "addendum": "Published Erratum",
    "article-commentary": "Comment",
    "biography": "Biography",
    "book-review": "Book Review",
    "brief-report": "Journal Article",
    "case-report": "Case Reports",
    "case-study": "Case Reports",
    "clinical-trial": "Clinical Trial",
    "correction": "Published Erratum",
    "data-paper": "Journal Article",
    "editorial": "Editorial",
    "expression-of-concern": "Expression of Concern",
    "guideline": "Guideline",
    "introduction": "Introductory Journal Article",
    "letter": "Letter",
    "meta-analysis": "Meta-Analysis",
    "meeting-report": "Congress",
    "methods-article": "Journal Article",
    "news": "News",
    "obituary": "Obituary",
    "practice-guideline": "Practice Guideline",
    "preprint": "Preprint",
    "protocol": "Journal Article",
    "randomized-controlled-trial": "Randomized Controlled Trial",
    "rapid-communication": "Journal Article",
    "reply": "Comment",
    "research-article": "Journal Article",
    "retraction": "Retraction of Publication",
    "review": "Review",
    "review-article": "Review",
    "systematic-review": "Systematic Review",
    "technical-note": "Technical Report",
}
"""Type of an article, or subject of its heading, in JATS -> PubMed's publication type."""
NOTICES = ("Retraction of Publication", "Expression of Concern", "Published Erratum")
"""Types of what is said about another paper, whose title it often bears."""
RETRACTED = "Retracted Publication"
MARKED = re.compile(r"\W*(?:retracted|withdrawn)(?: (?:article|paper|chapter))?\s*[\]:.\u2013\u2014-]", re.IGNORECASE)
"""Begins the title of a paper that was retracted: "[Retracted] ...", "RETRACTED ARTICLE: ..."."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a paper still counts."""

    retracted: bool
    notice: str | None
    """PMID or else DOI of the notice of the retraction."""
    concern: str | None
    """PMID or else DOI of an expression of concern; "" where there is one without an id."""


def ids_of(meta: Any) -> dict[str, str]:
    """
    Read the ids of an article.

    :param meta: its element ``article-meta``.
    :returns: of ``pmcid``, ``pmid`` and ``doi`` those that are known, and ``version``, a number, where the PMCID has one.
    """
    found: dict[str, str] = {}
    for one in meta.iterchildren("article-id"):
        kind, text = one.get("pub-id-type", ""), (one.text or "").strip()
        if kind in ("pmc", "pmcid") and (number := PMCID.fullmatch(text.upper())) is not None:
            found["pmcid"] = f"PMC{number[1]}"
        elif kind == "pmcid-ver" and (version := VERSION.search(text)) is not None:
            found["version"] = version[1]
        elif kind == "pmid" and PMID.fullmatch(text):
            found["pmid"] = text
        elif kind == "doi" and (doi := DOI.search(text)) is not None:
            found.setdefault("doi", doi[0])
    stated = sorted(meta.iter("article-version"), key=lambda one: one.get("article-version-type") != "pmc-version")
    for one in stated:
        if (version := NUMBER.fullmatch((one.text or "").strip())) is not None:
            found.setdefault("version", version[0])
    return found


def title_of(meta: Any) -> str:
    """
    Read the title of an article, with its subtitle behind a colon.

    :param meta: its element ``article-meta``.
    """
    group = child(meta, "title-group")
    title = text_of(child(group, "article-title"))
    for one in () if group is None else group.iterchildren("subtitle"):
        if subtitle := text_of(one):
            title = f"{title}{'' if title.endswith((':', '?', '!', '.')) else ':'} {subtitle}" if title else subtitle
    return title


def types_of(article: Any, meta: Any) -> tuple[str, ...]:
    """
    Read PubMed's publication types of an article from its type and from the subjects that are its heading.

    :param article: its element.
    :param meta: its element ``article-meta``.
    """
    names = [article.get("article-type", ""), *(subject.lower().replace(" ", "-") for subject in subjects_of(meta))]
    return tuple(dict.fromkeys(TYPES[key] for name in names for key in (name, name.removesuffix("s")) if key in TYPES))


def subjects_of(meta: Any) -> tuple[str, ...]:
    """
    Read the subjects under which the journal lists an article.

    :param meta: its element ``article-meta``.
    """
    listed = child(meta, "article-categories")
    groups = () if listed is None else listed.iterchildren("subj-group")
    headings = (group for group in groups if group.get("subj-group-type") in ("heading", "display-channel", None))
    return tuple(dict.fromkeys(filter(None, (text_of(one) for group in headings for one in group.iter("subject")))))


def standing_of(meta: Any, title: str, types: tuple[str, ...]) -> Standing:
    """
    Tell whether a paper was retracted, by which notice, and where a concern about it was expressed.

    :param meta: its element ``article-meta``.
    :param title: its title.
    :param types: its publication types. A notice about another paper is never retracted by what it says.
    """
    if any(kind in types for kind in NOTICES):
        return Standing(False, None, None)
    notices, concerns = ([*_related(meta, word)] for word in ("retract", "concern"))
    marked = MARKED.match(title) is not None or any(MARKED.match(f"{one}:") for one in subjects_of(meta))
    notice, concern = (next(filter(None, found), None) for found in (notices, concerns))
    return Standing(bool(notices) or marked, notice, (concern or "") if concerns else None)


def _related(meta: Any, word: str) -> Iterator[str]:
    """Give the ids of related articles of a kind, "" where there is none; not of those that this article is about."""
    for one in (*meta.iterchildren("related-article"), *meta.iterchildren("related-object")):
        kind = one.get("related-article-type", "") or one.get("link-type", "")
        if word in kind and "partial" not in kind and kind not in ("retracted-article", "object-of-concern"):
            stated = {part.get("pub-id-type"): (part.text or "").strip() for part in one.iter("pub-id", "object-id")}
            address = (one.get(HREF) or "").strip()
            numbers = (stated.get("pmid", ""), address if "pm" in one.get("ext-link-type", "") else "")
            dois = (stated.get("doi", ""), address)
            known = [number for number in numbers if PMID.fullmatch(number)]
            known += [found[0] for text in dois if (found := DOI.search(text)) is not None]
            yield known[0] if known else ""
