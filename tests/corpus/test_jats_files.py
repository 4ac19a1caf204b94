"""Files and packages of full texts: wrappers, encodings, damage, and what a hostile archive cannot do."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import pytest

from bmretriever_integrations.corpus import CorpusReport, DamagedSource, read_corpus
from bmretriever_integrations.corpus.jats import article_stream, package

DAY = 1_700_000_000
"""14 November 2023, in seconds."""


def article(number: int, text: str = "Text.", start: str = "<article>") -> str:
    ids = f'<article-id pub-id-type="pmcid">PMC{number}</article-id>'
    return f"{start}<front><article-meta>{ids}</article-meta></front><body><p>{text}</p></body></article>"


def packed(files: Mapping[str, str | bytes], changed: int = DAY) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), changed
            tar.addfile(entry, io.BytesIO(data))
    return archive.getvalue()


def ids_in(path: Path, report: CorpusReport | None = None) -> list[str]:
    return [record.id.partition("#")[0] for record in read_corpus([path], report, strict=False)]


WRAPPED = {
    "a search by E-utilities": f"<pmc-articleset>{article(1)}{article(2)}</pmc-articleset>",
    "a file of all that Europe PMC has": f"<articles>{article(1)}{article(2)}</articles>",
    "an answer of PMC's OAI service": (
        '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/" xmlns:xlink="http://www.w3.org/1999/xlink"><ListRecords>'
        + "".join(
            "<record><metadata>"
            + article(number, start='<article xmlns="https://jats.nlm.nih.gov/ns/archiving/1.3/" xlink:type="simple">')
            + "</metadata></record>"
            for number in (1, 2)
        )
        + "</ListRecords></OAI-PMH>"
    ),
    "names with a prefix": (
        '<pmc-articleset xmlns:j="urn:j">'
        + (article(1) + article(2)).replace("</", "</j:").replace("<", "<j:").replace("<j:/j:", "</j:")
        + "</pmc-articleset>"
    ),
}


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_answers_of_servers_are_read_article_by_article(tmp_path: Path, name: str, encoding: str) -> None:
    path = tmp_path / "a.xml.gz"
    path.write_bytes(gzip.compress(WRAPPED[name].encode(encoding)))
    assert ids_in(path) == ["PMC1", "PMC2"]


def test_the_declared_encoding_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.nxml"
    path.write_bytes(b'<?xml version="1.0" encoding="ISO-8859-1"?>' + article(1, "na\u00efve").encode("latin-1"))
    (record,) = read_corpus([path])
    assert record.text == "na\u00efve"


@pytest.mark.parametrize("damaged", [article(2, "a < b"), article(2).replace("</article>", ""), article(2, "&#x0;")])
def test_a_damaged_article_is_named_and_the_next_one_is_read(tmp_path: Path, damaged: str) -> None:
    path, report = tmp_path / "a.xml", CorpusReport()
    path.write_text(f"<pmc-articleset>{article(1)}{damaged}{article(3)}</pmc-articleset>")
    assert ids_in(path, report) == ["PMC1", "PMC3"]
    assert report.examples == ["a.xml: the article PMC2: damaged XML"]


@pytest.mark.parametrize("lost", [5, len("</pmc-articleset>") + 20])
def test_a_file_that_is_cut_short_gives_what_stands_before(tmp_path: Path, lost: int) -> None:
    path, report = tmp_path / "a.xml", CorpusReport()
    path.write_text(f"<pmc-articleset>{article(1)}{article(2)}</pmc-articleset>"[:-lost])
    assert ids_in(path, report) == (["PMC1", "PMC2"] if lost == 5 else ["PMC1"])
    assert "breaks off" in report.damaged[0]
    with pytest.raises(DamagedSource, match="breaks off"):
        list(read_corpus([path]))


def test_a_package_gives_its_articles_and_names_those_that_are_damaged(tmp_path: Path) -> None:
    files = {
        "PMC1/one.nxml": article(1),
        "PMC1/one.jpg": b"\xff" * 5000,
        "PMC1/._one.nxml": b"junk",
        "PMC1/data.xml": "<data/>",
        "PMC2/cut.nxml": article(2)[:-20],
        "PMC3/wrong.nxml": article(3, "a < b"),
        "../../etc/PMC4.xml": article(4),
        "PMC5.xml": f'<?xml version="1.0" encoding="x-none"?>{article(5)}',
        "PMC6.xml": article(6),
    }
    for name, content in (("a.tar.gz", gzip.compress(packed(files))), ("b.tar", packed(files))):
        report, path = CorpusReport(), tmp_path / name
        path.write_bytes(content)
        assert ids_in(path, report) == ["PMC1", "PMC4", "PMC6"]
        assert report.examples == [
            f"{name}: PMC1/data.xml: no full text in JATS",
            f"{name}: PMC2/cut.nxml: it breaks off inside the article PMC2: damaged XML",
            f"{name}: PMC3/wrong.nxml: the article PMC3: damaged XML",
            f"{name}: PMC5.xml: its encoding 'x-none' is unknown: damaged XML",
        ]
        assert report.damaged == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "b.tar"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "answer.xml",
            b'<pmc-articleset><Reply Id="1" error="The following PMCID is not available"/></pmc-articleset>',
        ),
        (
            "pictures.tar",
            packed({"PMC1/one.jpg": b"\xff", "PMC1/inner.tar.gz": gzip.compress(packed({"PMC1.xml": article(1)}))}),
        ),
    ],
)
def test_a_file_without_an_article_says_so(tmp_path: Path, name: str, content: bytes) -> None:
    report, path = CorpusReport(), tmp_path / name
    path.write_bytes(content)
    assert ids_in(path, report) == []
    assert report.examples == [f"{name}: no full text in JATS"]


@pytest.mark.parametrize(("changed", "expected"), [(DAY, "2023-11-14"), (0, None), (1 << 60, None)])
def test_the_date_of_a_file_in_a_package_is_that_of_its_revision(
    tmp_path: Path, changed: int, expected: str | None
) -> None:
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(packed({"a.nxml": article(1)}, changed)))
    (record,) = read_corpus([path])
    assert record.metadata.revised == expected


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
@pytest.mark.parametrize(("kept", "articles"), [(10_000, 5), (2_048, 2), (2_100, 2), (2_600, 2), (500, 0)])
def test_a_package_that_is_cut_short_gives_what_stands_before(
    tmp_path: Path, ending: str, kept: int, articles: int
) -> None:
    whole = packed({f"PMC{number}.xml": article(number) for number in range(5)})
    path, report = tmp_path / f"a{ending}", CorpusReport()
    path.write_bytes(gzip.compress(whole, compresslevel=0)[: kept + 30] if ending == ".tar.gz" else whole[:kept])
    assert ids_in(path, report) == [f"PMC{number}" for number in range(articles)]
    assert len(report.damaged) == (articles < 5)  # behind the archive's end is nothing to lose


def test_a_place_without_a_header_is_damage_and_not_the_end(tmp_path: Path) -> None:
    whole = bytearray(packed({f"PMC{number}.xml": article(number) for number in range(3)}))
    whole[1024:1034] = b"\x07" * 10
    path, report = tmp_path / "a.tar.gz", CorpusReport()
    path.write_bytes(gzip.compress(bytes(whole)))
    assert ids_in(path, report) == ["PMC0"]
    assert "the archive is damaged" in report.damaged[0]


def extended(facts: Mapping[str, str]) -> bytes:
    entry = tarfile.TarInfo("PMC7.xml")
    entry.pax_headers = dict(facts)
    return entry.tobuf(tarfile.PAX_FORMAT)[:1024]


@pytest.mark.parametrize(
    "headers",
    [
        extended({"path": "a.xml"}) * 1500,
        extended({"GNU.sparse.map": "0,10,x,y", "GNU.sparse.size": "10"}),
        extended({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "x"}),
    ],
    ids=["a chain of headers", "a map without numbers", "a size without number"],
)
def test_headers_that_tarfile_cannot_read_are_damage(tmp_path: Path, headers: bytes) -> None:
    path, report = tmp_path / "a.tar", CorpusReport()
    path.write_bytes(packed({"PMC1.xml": article(1)})[:1024] + headers + packed({"PMC2.xml": article(2)}))
    assert ids_in(path, report) == ["PMC1"]
    assert [text.partition(":")[0] for text in report.damaged] == ["a.tar"]


def test_no_archive_makes_anyone_hold_more_than_an_article(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 1_000_000
    for module in (article_stream, package):
        monkeypatch.setattr(module, "ARTICLE_BYTES", most)
    files = {"bomb.nxml": article(1, "a" * 20 * most), "PMC2.xml": article(2)}
    path, report = tmp_path / "a.tar.gz", CorpusReport()
    path.write_bytes(gzip.compress(packed(files)))
    plain = tmp_path / "a.xml.gz"
    plain.write_bytes(gzip.compress(f"<pmc-articleset>{''.join(files.values())}</pmc-articleset>".encode()))
    header = tmp_path / "b.tar.gz"
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = tarfile.XHDTYPE, 20 * most
    header.write_bytes(gzip.compress(entry.tobuf() + b"\x00" * entry.size))
    del files
    tracemalloc.start()
    assert [ids_in(one, report) for one in (path, plain, header)] == [["PMC2"], ["PMC2"], []]
    assert tracemalloc.get_traced_memory()[1] < 6 * most
    tracemalloc.stop()
    assert [line.rpartition(": ")[2] for line in report.examples] == ["larger than 50 MB"] * 2
    assert "a header of 20,000,256 bytes" in report.damaged[0] or "a header of 20,000,000 bytes" in report.damaged[0]


def test_nothing_outside_a_file_is_read_and_no_entity_is_expanded(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    path = tmp_path / "a.nxml"
    path.write_text(
        f'<!DOCTYPE article [<!ENTITY s SYSTEM "file://{tmp_path}/secret"><!ENTITY a "{"b" * 100}">]>'
        + article(1, "x &s; &a; y")
    )
    (record,) = read_corpus([path])
    assert record.text == "x &s; &a; y"
