"""The facts of a PubMed citation: when, where and by whom it was published, what it is about, and whether it still counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from bmretriever_integrations.corpus.dates import first_date, iso_date
from bmretriever_integrations.corpus.markup import plain_text
from bmretriever_integrations.corpus.metadata import DOI, PMCID, Metadata

RETRACTED = "Retracted Publication"
"""NLM's publication type of a paper that was retracted. The notice has another: "Retraction of Publication"."""
RETRACTED_BY = ("RetractionIn", "RetractedandRepublishedIn")
"""Types of a reference from a retracted paper. ``PartialRetractionIn`` is none: the rest of the paper stands."""
NUMBER = re.compile(r"[0-9]{1,6}")


def metadata_of(citation: Any, data: Any) -> Metadata:
    """
    Read the facts of a citation.

    :param citation: its element ``MedlineCitation`` or ``BookDocument``.
    :param data: its element ``PubmedData`` or ``PubmedBookData``; None if there is none.
    """
    article, book = child(citation, "Article"), child(citation, "Book")
    article = citation if article is None else article
    ids = list(_ids(citation, data))
    mesh, major = _mesh(citation)
    retracted, notice, concern = _corrections(citation)
    types = _types(article)
    return Metadata(
        date=_date(citation, article, book),
        journal=_journal(citation, article, book),
        authors=_authors(article) or _authors(book),
        publication_types=types,
        mesh=mesh,
        mesh_major=major,
        keywords=_texts(
            word for words in citation.iterchildren("KeywordList") for word in words.iterchildren("Keyword")
        ),
        languages=_texts(article.iterchildren("Language")),
        doi=_doi(article, ids),
        pmcid=next(
            (f"PMC{found[1]}" for kind, text in ids if kind == "pmc" and (found := PMCID.fullmatch(text))), None
        ),
        version=_version(citation),
        revised=revised(citation),
        retracted=retracted or RETRACTED in types,
        retraction_notice=notice,
        expression_of_concern=concern,
    )


def revised(citation: Any) -> str | None:
    """
    Give the date on which PubMed last revised a citation.

    :param citation: its element ``MedlineCitation`` or ``BookDocument``.
    """
    return _parts_of_date(child(citation, "DateRevised"))


def child(element: Any, name: str) -> Any:
    """
    Find the first child of that name.

    :param element: an lxml element, or None.
    :param name: the name of the child.
    :returns: the child, or None.
    """
    return None if element is None else next(element.iterchildren(name), None)


def _texts(elements: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(plain_text, elements))))


def _date(citation: Any, article: Any, book: Any) -> str | None:
    if book is not None:  # a chapter has a date of its own, and its book that of its first edition
        return _parts_of_date(child(citation, "ContributionDate")) or _parts_of_date(child(book, "PubDate"))
    issue = child(child(article, "Journal"), "JournalIssue")
    days = (child(issue, "PubDate"), *article.iterchildren("ArticleDate"))
    return next((day for day in map(_parts_of_date, days) if day is not None), None)


def _parts_of_date(element: Any) -> str | None:
    if element is None:
        return None
    parts = {part.tag: (part.text or "").strip() for part in element}
    if "MedlineDate" in parts:
        return first_date(parts["MedlineDate"])
    return iso_date(parts.get("Year", ""), parts.get("Month", ""), parts.get("Day", ""))


def _journal(citation: Any, article: Any, book: Any) -> str | None:
    if book is not None:
        return plain_text(child(book, "BookTitle")) or None
    journal, info = child(article, "Journal"), child(citation, "MedlineJournalInfo")
    names = ((journal, "Title"), (journal, "ISOAbbreviation"), (info, "MedlineTA"))
    return next((name for name in (plain_text(child(*place)) for place in names) if name), None)


def _authors(article: Any) -> tuple[str, ...]:
    lists = () if article is None else article.iterchildren("AuthorList")
    people = (one for names in lists if names.get("Type") != "editors" for one in names.iterchildren("Author"))
    return tuple(filter(None, (_name(person) for person in people if person.get("ValidYN") != "N")))


def _name(author: Any) -> str:
    parts = {part.tag: part for part in author}
    last = plain_text(parts.get("LastName"))
    first = plain_text(parts.get("ForeName")) or plain_text(parts.get("Initials"))
    name = f"{last}, {first}" if last and first else last or first
    return f"{name} {plain_text(parts.get('Suffix'))}".rstrip() or plain_text(parts.get("CollectiveName"))


def _types(article: Any) -> tuple[str, ...]:
    listed = child(article, "PublicationTypeList")
    return _texts((article if listed is None else listed).iterchildren("PublicationType"))


def _mesh(citation: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give all descriptors, and those that are a major topic by themselves or by a qualifier."""
    names: dict[str, bool] = {}
    for headings in citation.iterchildren("MeshHeadingList"):
        for heading in headings.iterchildren("MeshHeading"):
            name = plain_text(child(heading, "DescriptorName"))
            names[name] = names.get(name, False) or any(part.get("MajorTopicYN") == "Y" for part in heading)
    names.pop("", None)
    return tuple(names), tuple(name for name, major in names.items() if major)


def _ids(citation: Any, data: Any) -> Iterator[tuple[str | None, str]]:
    """Give type and text of the article's own ids. Those of its references lie deeper."""
    for parent in (citation, data):
        for one in () if (ids := child(parent, "ArticleIdList")) is None else ids.iterchildren("ArticleId"):
            yield one.get("IdType"), (one.text or "").strip()


def _doi(article: Any, ids: list[tuple[str | None, str]]) -> str | None:
    own = (
        (place.text or "").strip()
        for place in article.iterchildren("ELocationID")
        if place.get("EIdType") == "doi" and place.get("ValidYN") != "N"
    )
    for text in (*own, *(text for kind, text in ids if kind == "doi")):
        found = DOI.search(text)
        if found is not None:
            return found[0]
    return None


def _version(citation: Any) -> int | None:
    number = child(citation, "PMID")
    text = "" if number is None else number.get("Version", "")
    return int(text) if NUMBER.fullmatch(text) else None


def _corrections(citation: Any) -> tuple[bool, str | None, str | None]:
    """Tell whether the paper was retracted, by which notice, and where a concern about it was expressed."""
    notices: list[str] = []
    concerns: list[str] = []
    for listed in citation.iterchildren("CommentsCorrectionsList"):
        for one in listed.iterchildren("CommentsCorrections"):
            kind, number = one.get("RefType"), plain_text(child(one, "PMID"))
            if kind in RETRACTED_BY:
                notices.append(number)
            elif kind == "ExpressionOfConcernIn":
                concerns.append(number or plain_text(child(one, "RefSource")))
    concern = next(filter(None, concerns), "") if concerns else None
    return bool(notices), next(filter(None, notices), None), concern
