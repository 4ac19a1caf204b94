"""The facts of a hit: which numbers are PMIDs, what is a date, and what a reader is warned of."""

from __future__ import annotations

from bmretriever_integrations.hits.facts import address_of, date_of, fact, facts, marks_of, pmid_of
from bmretriever_integrations.index import Hit


def hit(name: str = "a", **metadata: object) -> Hit:
    return Hit(1, 0.0, name, "", "", metadata)


def test_a_number_is_a_pmid_only_if_the_record_is_pubmeds() -> None:
    assert pmid_of(hit("123", title="x")) is None
    of_pubmed = {"version": 1, "publication_types": ["Letter"]}
    assert pmid_of(hit("123", **of_pubmed)) == "123"
    assert pmid_of(hit("123", revised="2020-01-01", publication_types=["Letter"])) == "123"  # saved by PubMed as lines
    assert pmid_of(hit("123", publication_types=["Letter"])) is None
    assert pmid_of(hit("123", version=1)) is None  # as a row of other data may have
    assert pmid_of(hit("٣", **of_pubmed)) is None
    assert pmid_of(hit("0123", **of_pubmed)) is None
    assert pmid_of(hit("pubmed23n0001_0", PMID=21)) == "21"
    assert address_of(hit("pubmed23n0001_0", PMID="21/../x")) is None
    assert address_of(hit("123", **of_pubmed)) == "https://pubmed.ncbi.nlm.nih.gov/123/"


def test_a_date_is_a_year_a_month_or_a_day() -> None:
    given = ("2015", "2015-03", "2015-03-14", "soon", "2015-03-14T10:00", "٢٠١٥", "")
    assert [date_of(hit(date=date)) for date in given] == ["2015", "2015-03", "2015-03-14", "", "", "", ""]
    assert (date_of(hit(year=2001)), date_of(hit())) == ("2001", "")


def test_a_fact_is_a_text_or_several() -> None:
    paper = hit(authors=["Muster, Ana", "Group α"], mesh=("Humans",), version=1)
    assert facts(paper, "authors") == ["Muster, Ana", "Group α"]
    assert [facts(paper, name) for name in ("mesh", "version", "journal")] == [["Humans"], ["1"], []]
    assert [fact(paper, name) for name in ("authors", "version", "journal")] == ["Muster, Ana; Group α", "1", ""]


def test_a_reader_is_warned_of_what_was_retracted_or_doubted_and_of_its_notices() -> None:
    doubted = {"expression_of_concern": "", "publication_types": ["Letter"]}
    assert marks_of(hit(retracted=True, retraction_notice="77", **doubted)) == [
        "RETRACTED (notice: 77)",
        "EXPRESSION OF CONCERN",
    ]
    notices = ["Retraction of Publication", "Retraction Notice", "Expression of Concern"]
    assert marks_of(hit(publication_types=notices)) == ["RETRACTION NOTICE", "NOTICE OF CONCERN"]
    assert marks_of(hit(retracted="yes", publication_types=["Letter"])) == []
