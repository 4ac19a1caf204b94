"""BEIR files and the lines of all others: what is read, what is left out and named, what is refused before any work."""

from __future__ import annotations

import gzip
import io
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from bmretriever_integrations.corpus import CorpusReport, DamagedSource, Metadata, Record, read_corpus
from bmretriever_integrations.corpus.json_lines import DAMAGE, NotJson, read_values, unpacked

PMID = Metadata(other={"PMID": 0})


def test_reads_plain_and_gzipped_in_order_and_byte_exact(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    plain.write_text('{"_id": "1", "title": "T ", "text": " two\\n lines "}\n\n{"_id": "2", "text": "no title"}\n')
    packed.write_bytes(gzip.compress('{"_id": "3", "title": null, "text": "übung 😀", "metadata": {}}'.encode()))
    report = CorpusReport()
    assert list(read_corpus([plain, packed], report)) == [
        Record("1", "T ", " two\n lines "),
        Record("2", "", "no title"),
        Record("3", "", "übung 😀"),
    ]
    assert (report.records, report.share_read, report.skipped.total()) == (3, 1.0, 0)


@pytest.mark.parametrize(
    ("row", "record"),
    [
        ({"_id": 7, "title": "T", "text": "a"}, Record("7", "T", "a")),
        ({"id": 0, "text": "a"}, Record("0", "", "a")),  # R2MED
        (
            {"id": "c_0", "title": "T", "content": "a", "contents": "T. a", "PMID": 0},
            Record("c_0", "T", "a", PMID),
        ),  # MedRAG
        ({"id": "d1", "contents": "T. a"}, Record("d1", "", "T. a")),  # Anserini
        ({"docid": "9", "title": "T", "text": "a"}, Record("9", "T", "a")),  # Tevatron
        ({"_id": "b", "id": "other", "text": "a", "contents": "other"}, Record("b", "", "a")),
    ],
)
def test_known_layouts_are_read_by_their_names(tmp_path: Path, row, record: Record) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    assert list(read_corpus([tmp_path / "a.jsonl"])) == [record]


def test_a_title_that_pandas_left_empty_is_no_title(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text('{"_id": "1", "title": NaN, "text": "a"}\n{"_id": "2", "title": null, "text": "b"}\n')
    report = CorpusReport()
    assert list(read_corpus([source], report)) == [Record("1", "", "a"), Record("2", "", "b")]
    assert report.skipped.total() == 0


BAD_LINES = {
    b'{"_id": "x", "text": "cut': "not JSON",
    b"[" * 100_000: "not JSON",
    b'["a", "b"]': "not a JSON object",
    b'{"title": "t", "text": "t"}': "no _id",
    b'{"_id": "", "text": "t"}': "no id",
    b'{"_id": true, "text": "t"}': "_id is not a string",
    b'{"id": 1.5, "text": "t"}': "id is not a string",
    b'{"id": "x", "contents": ["t"]}': "contents is not a string",
    b'{"_id": "x", "title": "t"}': "no text",
    b'{"_id": "x", "title": ["t"], "text": "t"}': "title is not a string",
    b'{"_id": "x", "text": null}': "text is not a string",
    b'{"_id": "x", "title": " ", "text": ""}': "neither title nor text",
    b'{"_id": "x", "text": "half \\ud83d"}': "a lone surrogate, which is no character",
    b'{"_id": "x", "text": "latin \xe9"}': "not UTF-8",
}


@pytest.mark.parametrize(
    ("line", "reason"), BAD_LINES.items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_malformed_line_is_counted_and_named_and_the_next_is_read(tmp_path: Path, line: bytes, reason: str) -> None:
    source = tmp_path / "c.jsonl"
    source.write_bytes(b'{"_id": "1", "text": "a"}\n' + line + b'\n{"_id": "2", "text": "b"}\n')
    report = CorpusReport()
    assert [record.id for record in read_corpus([source], report)] == ["1", "2"]
    assert dict(report.skipped) == {reason: 1}
    assert report.examples == [f"c.jsonl:2: {reason}"]


def test_all_malformed_lines_are_counted_but_only_twenty_named(tmp_path: Path) -> None:
    source = tmp_path / "c.jsonl"
    source.write_text("nonsense\n" * 50)
    report = CorpusReport()
    assert list(read_corpus([source], report)) == []
    assert report.skipped == {"not JSON": 50}
    assert len(report.examples) == 20


def test_a_truncated_gzip_gives_what_is_before_the_damage_and_then_names_the_file(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"_id": str(i), "text": f"{i * 7919} {i * i * 31}"}) + "\n" for i in range(20_000))
    whole = gzip.compress(lines.encode())
    source = tmp_path / "cut.jsonl.gz"
    source.write_bytes(whole[: len(whole) // 2])
    records = read_corpus([source])
    got = []
    with pytest.raises(DamagedSource, match=r"cut\.jsonl\.gz is damaged after its first") as caught:
        got.extend(record.id for record in records)
    assert len(got) > 1000
    assert got == [str(i) for i in range(len(got))]
    assert f"first {len(got)} records" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("missing.jsonl", None, FileNotFoundError, "does not exist"),
        ("a.csv", b"x", ValueError, r"ends in none of \.xml, \.nxml, .* \(each also with \.gz\)"),
        ("a.doc", b"x", ValueError, "docs/records.md says how to get records in a form that is read"),
        ("drugbank.ZIP", b"PK", ValueError, "is an archive; unpack it, and name the file in it"),
        ("a.jsonl", b"", ValueError, "is empty"),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0), ValueError, "is empty"),
        ("a.jsonl.gz", b"plain text", ValueError, "cannot be read as gzip"),
        ("a.xml", b"no markup", ValueError, "is no XML"),
        ("a.xml", b"<other/>", ValueError, "its root is <other>"),
    ],
)
def test_a_wrong_source_is_refused_before_the_first_record(tmp_path: Path, name, content, error, message) -> None:
    good = tmp_path / "good.jsonl"
    good.write_text('{"_id": "1", "text": "a"}\n')
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        read_corpus([good, tmp_path / name])  # not even iterated


def test_folders_repeated_sources_and_no_sources_are_refused(tmp_path: Path) -> None:
    good = tmp_path / "good.jsonl"
    good.write_text('{"_id": "1", "text": "a"}\n')
    with pytest.raises(ValueError, match="is a folder; name its files"):
        read_corpus([tmp_path])
    with pytest.raises(ValueError, match="given twice"):
        read_corpus([good, tmp_path / "." / "good.jsonl"])
    with pytest.raises(ValueError, match="no source"):
        read_corpus([])
    with pytest.raises(TypeError, match=r"write \[source\]"):
        read_corpus(str(good))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match=r"a\.jsonl is a pipe or a device; .* save it as a file first"):
        read_corpus([tmp_path / "a.jsonl"])


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_line_of_any_size_is_left_out_and_not_held_in_memory(tmp_path: Path, name: str) -> None:
    head, tail = b'{"_id": "1", "text": "a"}\n{"_id": "2", "text": "', b'"}\n{"_id": "3", "text": "b"}\n'
    content = head + b"x" * 100_000_000 + tail
    (tmp_path / name).write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)
    del content
    report = CorpusReport()
    tracemalloc.start()
    assert [record.id for record in read_corpus([tmp_path / name], report)] == ["1", "3"]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 40e6  # bytes
    assert report.examples == [f"{name}:2: larger than 10 MB"]


def test_a_record_of_nearly_the_bound_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"_id": "1", "text": "x" * 9_990_000}) + "\n")
    assert [len(record.text) for record in read_corpus([tmp_path / "a.jsonl"])] == [9_990_000]


def test_no_record_of_a_file_with_a_wrong_checksum_is_given_out(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b'{"_id": "1", "text": "salt"}\n' * 1000, compresslevel=0))
    packed[packed.index(b"salt")] ^= 1
    (tmp_path / "a.jsonl.gz").write_bytes(bytes(packed))
    report = CorpusReport()
    with pytest.raises(DamagedSource, match=r"a\.jsonl\.gz is damaged after its first 0 records: CRC check failed"):
        list(read_corpus([tmp_path / "a.jsonl.gz"], report))
    assert report.records == 0


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path, write_jsonl) -> None:
    def peak(count: int) -> int:
        source = write_jsonl(tmp_path / f"{count}.jsonl", count)
        tracemalloc.start()
        assert sum(1 for _ in read_corpus([source])) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)  # imports
    assert peak(50_000) < peak(5_000) + 50_000  # bytes; the larger file alone has 4 MB more


def test_the_reader_numbers_lines_passes_over_blank_ones_and_goes_on_after_a_bad_one(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"a": 1}\n \n[2]\r\nnull\n{"a": \n"\xe9"\n' + b"[" * 100_000 + b"\n7"
    for path, packed in ((tmp_path / "a.jsonl", content), (tmp_path / "a.jsonl.GZ", gzip.compress(content))):
        path.write_bytes(packed)
        with path.open("rb") as file:
            found = list(read_values(unpacked(path, file)))
        assert [(number, value) for number, value in found if not isinstance(value, NotJson)] == [
            (1, {"a": 1}),
            (3, [2]),
            (4, None),
            (8, 7),
        ]
        bad = [(number, value.reason, type(value.error)) for number, value in found if isinstance(value, NotJson)]
        assert bad == [
            (5, "not JSON", json.JSONDecodeError),
            (6, "not UTF-8", UnicodeDecodeError),
            (7, "not JSON", RecursionError),
        ]


def test_the_reader_leaves_constants_to_whoever_asks(tmp_path: Path) -> None:
    lines = b'{"a": NaN}\n{"a": -Infinity}\n'
    assert [value["a"] for _, value in read_values(io.BytesIO(lines), parse_constant=str)] == ["NaN", "-Infinity"]

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no score")

    assert [str(bad) for _, bad in read_values(io.BytesIO(lines), parse_constant=refuse)] == [
        "not JSON: NaN is no score",
        "not JSON: -Infinity is no score",
    ]


@pytest.mark.parametrize("damage", [lambda packed: packed[:30], lambda packed: b"no gzip" + packed])
def test_a_compressed_file_that_breaks_off_raises_what_the_reader_names(tmp_path: Path, damage) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(damage(gzip.compress(b'{"a": 1}\n' * 3, compresslevel=0)))
    with path.open("rb") as file, pytest.raises(DAMAGE):
        list(read_values(unpacked(path, file)))
