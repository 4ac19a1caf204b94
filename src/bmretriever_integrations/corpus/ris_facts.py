"""The facts of a reference in RIS that exporters write in different ways: its date, DOI, languages and types."""

from __future__ import annotations

import re

from bmretriever_integrations.corpus.dates import first_date, iso_date
from bmretriever_integrations.corpus.metadata import DOI

Tags = dict[str, list[str]]
"""The values of each tag."""
OURS = "bmretriever"
"""Name of the database (``DB``) in the references that ``bmretriever search --format ris`` writes."""
DAY = re.compile(r"([0-9]{4})(?:[/-]([0-9]{1,2})?)?(?:[/-]([0-9]{1,2})?)?(?:[/-].*)?")
"""``2014/03/14/``, ``2014/03//undefined``, ``2014///``."""
JATS = re.compile(r"(</?)jats:([a-z-]+)")
PLAIN = {"title": "h4", "sec": "div", "list": "ul", "list-item": "li"}
"""Publishers give abstracts with elements of JATS to Crossref, from where they reach other files; as HTML they are removed."""
LANGUAGES = {
    **{"english": "eng", "german": "ger", "french": "fre", "spanish": "spa", "italian": "ita", "portuguese": "por"},
    **{"russian": "rus", "chinese": "chi", "japanese": "jpn", "korean": "kor", "polish": "pol", "dutch": "dut"},
    **{"turkish": "tur", "persian": "per", "hungarian": "hun", "czech": "cze", "danish": "dan", "swedish": "swe"},
    **{"norwegian": "nor", "finnish": "fin", "greek": "gre", "hebrew": "heb", "arabic": "ara", "ukrainian": "ukr"},
    **{"en": "eng", "de": "ger", "fr": "fre", "es": "spa", "it": "ita", "pt": "por", "ru": "rus", "zh": "chi"},
    **{"ja": "jpn", "ko": "kor", "pl": "pol", "nl": "dut", "tr": "tur", "fa": "per", "hu": "hun", "cs": "cze"},
}
"""Names and codes that are written -> MARC's code, which PubMed uses."""


def texts(tags: Tags, *names: str) -> tuple[str, ...]:
    """
    Give the different values of some tags.

    :param tags: of the reference.
    :param names: the tags.
    """
    return tuple(dict.fromkeys(text for name in names for text in tags.get(name, ())))


def first(tags: Tags, *names: str) -> str:
    """
    Give the value of the first of some tags that has one, with the lines that continue it.

    :param tags: of the reference.
    :param names: the tags.
    :returns: the value, or "".
    """
    return next((" ".join(tags[name]) if name in LONG else tags[name][0] for name in names if tags.get(name)), "")


LONG = ("TI", "T1", "CT", "BT")
"""Tags that stand once, so that their further values are lines that continue the first."""


def date_of(tags: Tags) -> str | None:
    """
    Find the date of publication.

    :param tags: of the reference. The year is ``PY`` or ``Y1``; ``DA`` is more precise, and EndNote leaves the year out of it.
    """
    known = [date for text in (first(tags, "PY"), first(tags, "Y1"), first(tags, "DA")) if (date := _day(text))]
    if not known:
        return first_date(first(tags, "DA"))
    year = known[0][:4]
    if day := first(tags, "DA"):
        known.append(first_date(f"{year} {day}") or year)
    return max((date for date in known if date.startswith(year)), key=len)


def _day(text: str) -> str | None:
    found = DAY.fullmatch(text)
    return None if found is None else iso_date(found[1], found[2] or "", found[3] or "")


def doi_of(tags: Tags) -> str | None:
    """
    Find the DOI.

    :param tags: of the reference. Old files have it under ``M3``, and others as an address.
    """
    found = next(filter(None, map(DOI.search, texts(tags, "DO", "M3", "UR", "L2"))), None)
    return None if found is None else found[0].rstrip(".,;")


def languages_of(tags: Tags) -> tuple[str, ...]:
    """
    Give the languages in MARC's codes where these are known, else as they are written.

    :param tags: of the reference.
    """
    named = (part.strip() for text in texts(tags, "LA") for part in re.split(r"[;,]", text))
    return tuple(dict.fromkeys(LANGUAGES.get(name.lower().split("-")[0], name) for name in named if name))


def types_of(tags: Tags) -> tuple[str, ...]:
    """
    Give the types of publication: ``M3`` without DOIs and codes.

    :param tags: of the reference.
    """
    return tuple(text for text in texts(tags, "M3") if not re.search(r"[0-9]", text))


def without_jats(text: str) -> str:
    """
    Write elements of JATS as those of HTML.

    :param text: a value, perhaps with ``<jats:p>``.
    """
    return JATS.sub(lambda tag: tag[1] + PLAIN.get(tag[2], tag[2]), text) if "jats:" in text else text
