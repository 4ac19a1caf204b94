"""The facts of an article in JATS: when, where and by whom it was published, and what it is about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bmretriever_integrations.corpus.dates import first_date, iso_date
from bmretriever_integrations.corpus.jats.identity import HREF, ids_of, standing_of, subjects_of, types_of
from bmretriever_integrations.corpus.jats.text import text_of
from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.pubmed_metadata import child

PRINT = ("ppub", "epub-ppub", "print")
ELECTRONIC = ("epub", "electronic", "pub", "publication", "original-publication")
OTHER = ("collection", "preprint")
LAST = ("pmc-release",)
"""Kinds of dates, of which the first that is known counts: of the issue in print, as PubMed has it, else of the publication
online, else of the volume, else of the release in PubMed Central."""
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
MARC = {
    **{
        "ar": "ara",
        "cs": "cze",
        "da": "dan",
        "de": "ger",
        "el": "gre",
        "en": "eng",
        "es": "spa",
        "fa": "per",
        "fi": "fin",
    },
    **{
        "fr": "fre",
        "hr": "hrv",
        "hu": "hun",
        "it": "ita",
        "ja": "jpn",
        "ko": "kor",
        "nl": "dut",
        "no": "nor",
        "pl": "pol",
    },
    **{"pt": "por", "ro": "rum", "ru": "rus", "sr": "srp", "sv": "swe", "tr": "tur", "uk": "ukr", "zh": "chi"},
}
"""Language of two letters -> PubMed's code."""


def metadata_of(article: Any, meta: Any, title: str, changed: str | None) -> Metadata:
    """
    Read the facts of an article.

    :param article: its element.
    :param meta: its element ``article-meta``.
    :param title: its title.
    :param changed: the date of its file, in ISO 8601, where that is known. It counts where PubMed Central's own date of the last
        change is not stated.
    """
    ids, types = ids_of(meta), types_of(article, meta)
    standing = standing_of(meta, title, types)
    other = {"pmid": ids.get("pmid"), "article_type": article.get("article-type"), "subjects": list(subjects_of(meta))}
    other["licence"] = _licence(meta)
    return Metadata(
        date=_date(meta),
        journal=_journal(child(child(article, "front"), "journal-meta")),
        authors=tuple(dict.fromkeys(filter(None, _authors(meta)))),
        publication_types=types,
        keywords=tuple(dict.fromkeys(filter(None, _keywords(meta)))),
        languages=_languages(article),
        doi=ids.get("doi"),
        pmcid=ids.get("pmcid"),
        version=int(ids["version"]) if "version" in ids else None,
        revised=_last_change(meta) or changed,
        retracted=standing.retracted,
        retraction_notice=standing.notice,
        expression_of_concern=standing.concern,
        other={key: value for key, value in other.items() if value},
    )


def _date(meta: Any) -> str | None:
    found: dict[str, str] = {}
    for one in meta.iterchildren("pub-date"):
        kind = one.get("pub-type") or one.get("date-type") or ""
        if one.get("publication-format") == "print" and kind != "collection":
            kind = "print"
        day = _day(one)
        if day is not None:
            found.setdefault(kind if kind in (*PRINT, *ELECTRONIC, *OTHER, *LAST) else "", day)
    return next((found[kind] for kind in (*PRINT, *ELECTRONIC, *OTHER, "", *LAST) if kind in found), None)


def _last_change(meta: Any) -> str | None:
    history = child(meta, "pub-history")
    events = () if history is None else history.iterchildren("event")
    dates = (child(event, "date") for event in events if event.get("event-type") == "pmc-last-change")
    return next((day for day in map(_day, dates) if day is not None), None)


def _day(element: Any) -> str | None:
    if element is None:
        return None
    parts = {part.tag: (part.text or "").strip() for part in element if isinstance(part.tag, str)}
    day = iso_date(parts.get("year", ""), parts.get("month", ""), parts.get("day", ""))
    return day or first_date(parts.get("string-date", "") or parts.get("year", ""))


def _journal(journal: Any) -> str | None:
    group = child(journal, "journal-title-group")
    places = [
        (group, "journal-title"),
        (journal, "journal-title"),
        (group, "abbrev-journal-title"),
        (journal, "journal-id"),
    ]
    return next((name for name in (text_of(child(*place)) for place in places) if name), None)


def _authors(meta: Any) -> Iterator[str]:
    for group in meta.iterchildren("contrib-group"):
        of_group = group.get("content-type") or "author"
        for person in group.iterchildren("contrib"):
            if (person.get("contrib-type") or of_group).startswith("author"):
                yield _name(person)


def _name(person: Any) -> str:
    forms = child(person, "name-alternatives")
    person = person if forms is None else forms
    name = child(person, "name")
    if name is None:
        name = child(person, "string-name")
    if name is None:
        group = child(person, "collab")
        lists = ("contrib-group", "contrib", "xref", "aff", "institution-wrap")
        own = () if group is None else (group.text, *(_outside(part, lists) for part in group))
        return " ".join("".join(filter(None, own)).split()).strip(" ,;")
    last, first, suffix = (text_of(child(name, part)) for part in ("surname", "given-names", "suffix"))
    full = f"{last}, {first}" if last and first else last or first
    return f"{full} {suffix}".rstrip() or text_of(name)


def _outside(part: Any, left_out: tuple[str, ...]) -> str:
    return ("" if part.tag in left_out else text_of(part)) + (part.tail or "")


def _keywords(meta: Any) -> Iterator[str]:
    for group in meta.iterchildren("kwd-group"):
        if "abbreviation" not in (group.get("kwd-group-type") or "").lower():
            for word in group.iter("kwd", "compound-kwd"):
                yield text_of(word)


def _languages(article: Any) -> tuple[str, ...]:
    """Give the language; where the article states none, the document type of JATS says English."""
    stated = (article.get(LANGUAGE) or "en").lower().partition("-")[0]
    code = MARC.get(stated, stated if len(stated) == 3 else "")
    return (code,) if code else ()


def _licence(meta: Any) -> str | None:
    """Give the address of the licence; where it has none, its kind."""
    licence = child(child(meta, "permissions"), "license")
    stated = [] if licence is None else [licence.get(HREF), *map(text_of, licence.iter("{*}license_ref"))]
    for one in () if licence is None else licence.iter("ext-link"):
        stated += [one.get(HREF)] if "creativecommons.org" in (one.get(HREF) or "") else []
    custom = (one for group in meta.iterchildren("custom-meta-group") for one in group.iterchildren("custom-meta"))
    stated += [
        text_of(child(one, "meta-value")) for one in custom if text_of(child(one, "meta-name")) == "pmc-license-ref"
    ]
    return next(filter(None, [*stated, None if licence is None else licence.get("license-type")]), None)
