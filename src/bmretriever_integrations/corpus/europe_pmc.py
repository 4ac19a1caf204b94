"""Read the answers of Europe PMC's search, with one result in memory at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from io import BufferedIOBase
from typing import Any

from bmretriever_integrations.corpus.citation_stream import DAMAGED, EUROPE_PMC, CitationStream
from bmretriever_integrations.corpus.dates import first_date, known_date
from bmretriever_integrations.corpus.markup import clean, plain_text
from bmretriever_integrations.corpus.metadata import DOI, PMCID, Metadata
from bmretriever_integrations.corpus.pubmed_metadata import NUMBER, RETRACTED, child
from bmretriever_integrations.corpus.records import CorpusReport, Record, fault
from bmretriever_integrations.corpus.xml_pieces import parsed

RETRACTED_BY = ("retraction in", "retracted and republished in")
CONCERN = "expression of concern in"
HEADING = re.compile(r"<h4>\s*([^<>]*?)[\s:]*</h4>")
OF_PUBMED, OF_PREPRINTS = "MED", "PPR"


def read_europe_pmc(stream: BufferedIOBase, name: str, report: CorpusReport) -> Iterator[Record]:
    """
    Read the results of one file, each by itself: what is wrong with one does not reach the next.

    :param stream: the unpacked file, from its start: one page of results, or several one after another.
    :param name: the name of the file, for the report.
    :param report: counts the results that are left out.
    :raises DamagedSource: if the file is cut short.
    """
    for piece in CitationStream(stream, EUROPE_PMC):
        result = None if piece.fault is not None else parsed(piece, _is_one)
        record = None if result is None else _record(result)
        reason = piece.fault or (DAMAGED if record is None else fault(record))
        if record is None or reason is not None:
            where = f"id {piece.pmid}" if piece.pmid else f"the result after record {report.records}"
            report.skip(f"{name}: {where}", reason or DAMAGED)
        else:
            yield record


def _is_one(result: Any) -> bool:
    return all(len(list(result.iterchildren(name))) <= 1 for name in ("id", "source", "title", "abstractText"))


def _record(result: Any) -> Record:
    journal, book = child(result, "journalInfo"), child(result, "bookOrReportDetails")
    types = _types(result)
    mesh, major = _mesh(result)
    notices, concerns = _corrections(result)
    metadata = Metadata(
        date=_date(result, journal),
        journal=next(filter(None, _journals(result, journal, book)), None),
        authors=_authors(result),
        publication_types=types,
        mesh=mesh,
        mesh_major=major,
        keywords=_texts(word for words in result.iterchildren("keywordList") for word in words),
        languages=_texts(result.iterchildren("language")),
        doi=None if (found := DOI.search(_text(result, "doi"))) is None else found[0],
        pmcid=f"PMC{found[1]}" if (found := PMCID.fullmatch(_text(result, "pmcid"))) else None,
        version=int(number) if NUMBER.fullmatch(number := _text(result, "versionNumber")) else None,
        revised=known_date(_text(result, "dateOfRevision")),
        retracted=bool(notices) or RETRACTED.lower() in {one.lower() for one in types},
        retraction_notice=next(filter(None, notices), None),
        expression_of_concern=next(filter(None, concerns), "") if concerns else None,
        other={"pmid": pmid} if (pmid := _text(result, "pmid")) else {},
    )
    return Record(_id(result), _text(result, "title"), _abstract(result), metadata)


def _text(element: Any, name: str) -> str:
    return plain_text(child(element, name))


def _abstract(result: Any) -> str:
    """Give the abstract; its headings become labels, as PubMed writes them."""
    abstract = child(result, "abstractText")
    if abstract is None or len(abstract):
        return plain_text(abstract)
    return clean(HEADING.sub(r" \1: ", abstract.text or ""))


def _texts(elements: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(plain_text, elements))))


def _id(result: Any) -> str:
    """Give the PMID; of what PubMed does not have, Europe PMC's id, with its source where that is not in it."""
    number, source = _text(result, "id"), _text(result, "source")
    if pmid := _text(result, "pmid"):
        return pmid
    return f"{source}:{number}" if number.isdigit() and source != OF_PUBMED else number


def _journals(result: Any, journal: Any, book: Any) -> Iterator[str]:
    names = child(journal, "journal")
    yield from (_text(names, "title"), _text(names, "ISOAbbreviation"), _text(names, "medlineAbbreviation"))
    yield from (_text(result, "journalTitle"), _text(book, "comprisingTitle"), _text(book, "publisher"))


def _date(result: Any, journal: Any) -> str | None:
    """Give the date of the issue, else of a preprint the day, and else what is sure of the first publication."""
    issue = first_date(_text(journal, "dateOfPublication")) or known_date(_text(journal, "printPublicationDate"))
    if issue is not None:
        return issue
    day = known_date(_text(result, "electronicPublicationDate"))
    if day is None and (day := known_date(_text(result, "firstPublicationDate"))) is not None:
        # a month or year alone is written with 01 in the places of what is not known
        day = day if _text(result, "source") == OF_PREPRINTS else day.removesuffix("-01").removesuffix("-01")
    return day or known_date(_text(journal, "yearOfPublication")) or known_date(_text(result, "pubYear"))


def _authors(result: Any) -> tuple[str, ...]:
    people = [one for names in result.iterchildren("authorList") for one in names.iterchildren("author")]
    if not people:  # the short form of an answer
        return tuple(name for part in _text(result, "authorString").rstrip(".").split(",") if (name := part.strip()))
    return tuple(filter(None, map(_name, people)))


def _name(author: Any) -> str:
    last, given = _text(author, "lastName"), _text(author, "firstName") or _text(author, "initials")
    name = f"{last}, {given}" if last and given else last
    return name or _text(author, "collectiveName") or _text(author, "fullName")


def _types(result: Any) -> tuple[str, ...]:
    listed = [one for types in result.iterchildren("pubTypeList") for one in types.iterchildren("pubType")]
    if listed:
        return _texts(listed)
    return tuple(filter(None, (part.strip() for part in _text(result, "pubType").split(";"))))


def _mesh(result: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names: dict[str, bool] = {}
    for headings in result.iterchildren("meshHeadingList"):
        for heading in headings.iterchildren("meshHeading"):
            name = _text(heading, "descriptorName")
            major = any(plain_text(one) == "Y" for one in heading.iter("majorTopic_YN"))
            names[name] = names.get(name, False) or major
    names.pop("", None)
    return tuple(names), tuple(name for name, major in names.items() if major)


def _corrections(result: Any) -> tuple[list[str], list[str]]:
    """Give the PMIDs of retraction notices, and PMIDs or references of expressions of concern; "" where there is none."""
    notices: list[str] = []
    concerns: list[str] = []
    for listed in result.iterchildren("commentCorrectionList"):
        for one in listed.iterchildren("commentCorrection"):
            kind, number = _text(one, "type").lower(), _text(one, "id")
            if kind in RETRACTED_BY:
                notices.append(number)
            elif kind == CONCERN:
                concerns.append(number or _text(one, "reference"))
    return notices, concerns
