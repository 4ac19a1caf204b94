"""Cutting PubMed files into citations: one damaged citation is one that is lost, whatever stands around it."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import pytest

from bmretriever_integrations.corpus import CorpusReport, DamagedSource, read_corpus, read_source
from bmretriever_integrations.corpus.citation_stream import CUT_SHORT, DAMAGED, CitationStream

DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'


def citation(pmid: int, title: str = "", revised: str = "") -> str:
    day = "".join(
        f"<{name}>{part}</{name}>" for name, part in zip(("Year", "Month", "Day"), revised.split("-"), strict=False)
    )
    return (
        f'<PubmedArticle><MedlineCitation><PMID Version="1">{pmid}</PMID>'
        f"{f'<DateRevised>{day}</DateRevised>' if revised else ''}<Article><ArticleTitle>{title or f'Title {pmid}'}"
        "</ArticleTitle></Article></MedlineCitation></PubmedArticle>\n"
    )


def document(*parts: str) -> str:
    return f"{DECLARATION}<PubmedArticleSet>\n{''.join(parts)}</PubmedArticleSet>\n"


def gone(*pmids: int) -> str:
    return f"<DeleteCitation>{''.join(f'<PMID>{pmid}</PMID>' for pmid in pmids)}</DeleteCitation>\n"


def read(path: Path, content: str | bytes) -> tuple[list[tuple[str, str]], CorpusReport]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    report = CorpusReport()
    return [(record.id, record.title) for record in read_corpus([path], report)], report


def whole(*pmids: int) -> list[tuple[str, str]]:
    return [(str(pmid), f"Title {pmid}") for pmid in pmids]


DAMAGES = {
    "a control character": citation(2, "bad\x01character"),
    "bytes that are not UTF-8": citation(2).encode() + b"",
    "a bare ampersand": citation(2, "A & B"),
    "a tag that is not closed": citation(2, "<i>open"),
    "an end tag too many": citation(2, "closed</i>"),
    "a comment without an end": citation(2, "<!-- open"),
    "cut inside the title": citation(2)[:100],
    "cut inside the end tag": citation(2).strip()[:-3],
    "no start tag": citation(2).replace("<PubmedArticle>", ""),
    "a start tag with another name": citation(2).replace("<PubmedArticle>", "<PubmedArtcle>"),
    "an end tag with another name": citation(2).replace("</PubmedArticle>", "</PubmedArtcle>"),
    "another citation's end": citation(2)[:80] + citation(4).replace("<PubmedArticle><MedlineCitation>", ""),
    "another citation's second half": citation(2).replace("</PubmedArticle>\n", citation(4)[15:]),
    "another citation's title": citation(2).replace("</Article>", "<ArticleTitle>Other</ArticleTitle></Article>"),
    "the id of another citation": citation(2).replace(
        "</MedlineCitation>",
        '</MedlineCitation><PubmedData><ArticleIdList><ArticleId IdType="pubmed">4</ArticleId></ArticleIdList></PubmedData>',
    ),
    "a second root's end inside": citation(2, "a</PubmedArticleSet>b"),
}


@pytest.mark.parametrize("damaged", DAMAGES.values(), ids=DAMAGES)
def test_one_damaged_citation_is_named_and_all_others_are_read(tmp_path: Path, damaged: str | bytes) -> None:
    if isinstance(damaged, bytes):
        damaged = damaged.decode().replace("Title 2", "caf\udce9")
    content = document(citation(1), damaged, citation(3), citation(4)).encode("utf-8", "surrogateescape")
    records, report = read(tmp_path / "a.xml", content)
    assert records == whole(1, 3, 4)
    assert dict(report.skipped) == {DAMAGED: 1}
    assert report.examples == [f"a.xml: PMID 2: {DAMAGED}"]


def test_a_citation_that_lost_its_number_with_its_end_is_named_by_its_place(tmp_path: Path) -> None:
    records, report = read(tmp_path / "a.xml", document(citation(1), "<PubmedArticle><Medl", citation(3)))
    assert records == whole(1, 3)
    assert report.examples == [f"a.xml: the citation after record 1: {DAMAGED}"]


def test_a_damaged_list_of_withdrawals_withdraws_nothing_and_a_whole_one_does(tmp_path: Path) -> None:
    damaged = gone(7, 8).replace("</PMID><PMID>", "</PMD><PMID>")
    records, report = read(tmp_path / "a.xml", document(citation(1), damaged, gone(9), citation(3)))
    assert records == whole(1, 3)
    assert report.withdrawn == {"9": ""}
    assert report.examples == [f"a.xml: PMID 7: {DAMAGED}"]


def test_documents_one_after_another_are_all_read(tmp_path: Path) -> None:
    second = '\ufeff<?xml version="1.0"?>\n<!DOCTYPE PubmedArticleSet SYSTEM "x.dtd">\n<PubmedArticleSet>'
    content = document(citation(1), gone(9)) + document() + "<PubmedArticleSet/>" + second + citation(2)
    records, report = read(tmp_path / "a.xml", content + "</PubmedArticleSet>\n" + document(citation(3)))
    assert records == whole(1, 2, 3)
    assert (report.withdrawn, report.skipped.total()) == ({"9": ""}, 0)


def test_a_document_that_breaks_off_before_the_next_one_is_counted(tmp_path: Path) -> None:
    first, second = document(citation(1), citation(2)), document(citation(3))
    records, report = read(tmp_path / "a.xml", first.replace("</PubmedArticleSet>", "") + second)
    assert records == whole(1, 2, 3)
    assert dict(report.skipped) == {CUT_SHORT: 1}
    records, report = read(tmp_path / "b.xml", first[:-60] + second)
    assert records == whole(1, 3)
    assert report.examples == [f"b.xml: PMID 2: {DAMAGED}", f"b.xml: the citation after record 1: {CUT_SHORT}"]


def test_each_document_has_its_own_encoding_and_namespaces(tmp_path: Path) -> None:
    latin = document(citation(1, "Säure")).replace("utf-8", "ISO-8859-1").encode("latin-1")
    power = "<m:math><m:msup><m:mn>10</m:mn><m:mn>6</m:mn></m:msup></m:math> cells"
    spaced = document(citation(2, power)).replace("Set>\n<", 'Set xmlns:m="http://www.w3.org/1998/Math/MathML">\n<', 1)
    records, report = read(tmp_path / "a.xml", latin + spaced.encode() + document(citation(3, "Säure")).encode())
    assert records == [("1", "Säure"), ("2", "10^6 cells"), ("3", "Säure")]
    assert report.skipped.total() == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "windows-1252"])
def test_the_encoding_of_the_file_is_honoured(tmp_path: Path, encoding: str) -> None:
    content = document(citation(1, "Säure"), citation(2, "<i>broken"), gone(9), citation(3, "naïve"))
    named = {"utf-8-sig": "utf-8", "windows-1252": "windows-1252"}.get(encoding, "utf-16")
    records, report = read(tmp_path / "a.xml", content.replace("utf-8", named).encode(encoding))
    assert records == [("1", "Säure"), ("3", "naïve")]
    assert (list(report.withdrawn), report.examples) == (["9"], [f"a.xml: PMID 2: {DAMAGED}"])


@pytest.mark.parametrize("size", [1, 7, 64, 65, 1000])
def test_the_pieces_are_the_same_whatever_the_size_of_the_parts_that_are_read(size: int) -> None:
    class Slow(io.BytesIO):
        def read1(self, _size: int | None = -1) -> bytes:
            return super().read1(size)

    lost = citation(4).replace("<PubmedArticle>", "")
    content = document(citation(1), "<DeleteCitation/>", citation(2), gone(9, 8), citation(3)[:80], lost) + document(
        citation(5).replace("</PubmedArticle>", "</PubmedArticle\n  >")
    )
    found = [(piece.pmid, piece.fault) for piece in CitationStream(io.BufferedReader(Slow(content.encode())))]
    again = [(piece.pmid, piece.fault) for piece in CitationStream(Slow(content.encode()))]
    assert again == found
    assert found == [("1", None), ("2", None), ("9", None), ("3", None), ("5", None)]


def test_what_is_commented_out_is_not_read_and_not_counted(tmp_path: Path) -> None:
    comment = f"<!-- <PMID>7</PMID> {citation(2)} {citation(3)} -->"
    records, report = read(tmp_path / "a.xml", document(citation(1), comment, citation(4, "Tit<!-- not -->le 4")))
    assert records == whole(1, 4)
    assert report.skipped.total() == 0


def test_a_comment_without_an_end_is_damage(tmp_path: Path) -> None:
    content = document(citation(1), "<!-- ", citation(2), gone(9)) + document(citation(3))
    with pytest.raises(DamagedSource, match="after its first 1 records: a comment in it has no end"):
        read(tmp_path / "a.xml", content)


CUTS = {
    "inside a citation": (-110, 1, "it breaks off inside the citation with PMID 2"),
    "between citations": (-19, 2, "it breaks off before the end of its root element"),
}


@pytest.mark.parametrize(("cut", "records", "reason"), CUTS.values(), ids=CUTS)
def test_a_file_that_is_cut_short_gives_all_its_whole_records(tmp_path: Path, cut, records: int, reason: str) -> None:
    content = document(gone(9), citation(1, revised="2020-01-02"), citation(2))[:cut]
    (tmp_path / "a.xml").write_text(content)
    report, got = CorpusReport(), []
    with pytest.raises(DamagedSource, match=rf"a\.xml is damaged after its first {records} records: {reason}"):
        got.extend(record.id for record in read_source(tmp_path / "a.xml", report))
    assert got == ["1", "2"][:records]
    assert report.damaged == [f"a.xml: after its first {records} records: {reason}"]
    assert report.withdrawn == {"9": "2020-01-02"}


def test_a_compressed_file_that_is_cut_short_gives_all_that_can_be_unpacked(tmp_path: Path) -> None:
    content = document(*(citation(pmid, f"{pmid * 7919} {pmid * pmid * 31}") for pmid in range(1, 3000))).encode()
    packed = gzip.compress(content)[:-9000]
    unpacked = zlib.decompressobj(31).decompress(packed)
    (tmp_path / "a.xml.gz").write_bytes(packed)
    got = []
    with pytest.raises(DamagedSource, match="end-of-stream"):
        got.extend(record.id for record in read_source(tmp_path / "a.xml.gz", CorpusReport()))
    assert len(got) == unpacked.count(b"</PubmedArticle>") > 1000


def test_with_a_limit_the_rest_of_the_file_is_searched_for_withdrawals_only(tmp_path: Path) -> None:
    rest = [citation(3, revised="2021-05-06"), citation(4, "<i>broken"), gone(1, 77), citation(5, revised="2020-1-1")]
    (tmp_path / "a.xml").write_text(document(citation(1), "<PubmedArticle></PubmedArticle>", citation(2), *rest))
    for limit, ids in ((2, ["1", "2"]), (0, [])):
        report = CorpusReport(bytes_total=2 * (tmp_path / "a.xml").stat().st_size)
        assert [record.id for record in read_source(tmp_path / "a.xml", report, limit=limit)] == ids
        assert report.withdrawn == {"1": "2021-05-06", "77": "2021-05-06"}
        assert (report.records, report.share_read) == (limit, 0.5)


def test_withdrawals_of_several_files_keep_the_latest_date(tmp_path: Path) -> None:
    report = CorpusReport()
    for name, revised in (("a.xml", "2020-06-07"), ("b.xml", "2021-08-09"), ("c.xml", "2019-01-02"), ("d.xml", "")):
        (tmp_path / name).write_text(document(citation(1, revised=revised), gone(9)))
        assert len(list(read_source(tmp_path / name, report))) == 1
    assert report.withdrawn == {"9": "2021-08-09"}


def test_a_document_type_of_any_size_is_refused(tmp_path: Path) -> None:
    declared = "".join(f'<!ENTITY e{number} "x">' for number in range(5_000))
    content = document(citation(1)).replace(
        "<PubmedArticleSet>", f"<!DOCTYPE PubmedArticleSet [{declared}]><PubmedArticleSet>"
    )
    with pytest.raises(DamagedSource, match="document type has more than 65,536 bytes"):
        read(tmp_path / "a.xml", content)


def test_an_encoding_that_nobody_knows_is_damage(tmp_path: Path) -> None:
    content = document(citation(1)) + document(citation(2)).replace("utf-8", "x-klingon")
    with pytest.raises(DamagedSource, match="after its first 1 records: its encoding 'x-klingon' is unknown"):
        read(tmp_path / "a.xml", content)
