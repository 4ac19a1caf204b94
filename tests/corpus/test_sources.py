"""Which reader a file gets, and what a user is told of a file that is not read."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bmretriever_integrations.corpus import CorpusReport, check_sources, read_corpus
from bmretriever_integrations.corpus.forms import states_revisions

MEDLINE = "PMID- 1\nTI  - Zinc.\n"
RIS = "TY  - JOUR\nAN  - X1\nTI  - Zinc.\nER  - \n"
PUBMED = (
    "<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>1</PMID><Article><ArticleTitle>Zinc.</ArticleTitle>"
    "</Article></MedlineCitation></PubmedArticle></PubmedArticleSet>"
)
EUROPE = (
    "<responseWrapper><resultList><result><id>1</id><source>MED</source><title>Zinc.</title></result></resultList>"
    "</responseWrapper>"
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.nbib", MEDLINE),
        ("pubmed-zinc-set.txt", MEDLINE),
        ("a.TXT", f"\n\n{MEDLINE}"),
        ("named-wrongly.ris", MEDLINE),
        ("a.ris", RIS),
        ("a.txt", f"Provider: somebody\r\n\r\n{RIS}"),
        ("a.nbib", RIS),
        ("a.xml", PUBMED),
        ("a.xml", EUROPE),
        ("a.xml", f'<?xml version="1.0"?>\n<!-- made up -->\n{EUROPE}'),
    ],
)
def test_the_content_chooses_the_reader_plain_and_packed(tmp_path: Path, name: str, content: str) -> None:
    plain, packed = tmp_path / name, tmp_path / f"{name}.gz"
    plain.write_text(content, newline="")
    packed.write_bytes(gzip.compress(content.encode()))
    assert [record.title for record in read_corpus([plain, packed])] == ["Zinc.", "Zinc."]


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("csv-zinc-set.csv", "PMID,Title", "CSV that PubMed saves has no abstracts: save .* in the format PubMed"),
        ("a.csv.gz", "PMID,Title", "has no abstracts"),
        ("a.xlsx", "PK", "JSON lines"),
        ("a.bib", "@article{x}", "export the references as RIS"),
        ("a.enw", "%0 Journal Article", "export the references as RIS"),
        ("a.zip", "PK", "is an archive; unpack it"),
        (
            "summary-zinc-set.txt",
            "1: Muster A. Zinc. J Ex. 2020.\n\n2: ",
            "format Summary, which has no abstracts: save",
        ),
        (
            "abstract-zinc-set.txt",
            "1. J Ex. 2020;1(1):1.\n\nZinc.\n",
            "format Abstract, which is made for reading: save",
        ),
        ("pmid-zinc-set.txt", "33419956\r\n33419957\r\n", "a list of PMIDs"),
        ("savedrecs.txt", "FN Clarivate Analytics Web of Science\nVR 1.0\nPT J\n", "export the references as RIS"),
        ("a.txt", "A poem.", "docs/records.md says how"),
        ("a.ris", "A poem.", "holds nothing of the form .*RIS"),
        ("a.xml", "<!DOCTYPE html><html><br></html>", "a page that a browser saved"),
        ("a.xml", "<html></html>", "a page that a browser saved"),
        ("a.xml", "<xml><records/></xml>", "EndNote's XML is not read: export the references as RIS"),
        ("a.xml", "<eSearchResult/>", "Fetch these with efetch"),
        ("a.xml", '<r:RDF xmlns:r="urn:x"/>', "resultType=core"),
    ],
)
def test_a_file_that_is_not_read_is_answered_with_what_to_do(tmp_path: Path, name, content, advice) -> None:
    (tmp_path / name).write_text(content, newline="")
    with pytest.raises(ValueError, match=advice):
        check_sources([tmp_path / name])


@pytest.mark.parametrize(
    ("name", "content", "stated"),
    [
        ("a.nbib", MEDLINE, True),
        ("a.txt", MEDLINE, True),
        ("a.txt", RIS, False),
        ("a.xml", EUROPE, True),
        ("a.xml", "<html>", True),
        ("a.jsonl", "{}", False),
    ],
)
def test_a_form_says_whether_its_records_state_when_they_were_revised(tmp_path: Path, name, content, stated) -> None:
    (tmp_path / name).write_text(content)
    assert states_revisions(tmp_path / name) is stated


def test_without_strictness_a_file_of_no_form_is_named_and_the_next_one_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A poem.")
    (tmp_path / "b.txt").write_text(MEDLINE)
    report = CorpusReport()
    records = read_corpus([tmp_path / "a.txt", tmp_path / "b.txt"], report, strict=False)
    assert [record.id for record in records] == ["1"]
    assert report.damaged[0].startswith("a.txt: after its first 0 records: ")
