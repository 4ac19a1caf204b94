"""Damaged sources: refused, or named while all other sources are read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from bmretriever_integrations.corpus import CorpusReport, DamagedSource, check_sources, read_corpus, read_source

LINES = b"".join(
    json.dumps({"_id": str(i), "text": f"{i * 7919} {i * i * 31}"}).encode() + b"\n" for i in range(20_000)
)
PACKED = gzip.compress(LINES, compresslevel=0, mtime=0)
XML = b"<PubmedArticleSet></PubmedArticleSet>"

DAMAGES = {
    "a.jsonl.gz": (PACKED[:-100_000], "end-of-stream marker"),
    "b.jsonl.gz": (PACKED.replace(b"7919 31", b"7919 32"), "CRC check failed"),
    "c.jsonl.gz": (LINES, "cannot be read as gzip"),
    "d.jsonl": (b"", "is empty"),
    "e.xml": (b"{}", "is no XML"),
    "f.xml": (b"<html></html>", "its root is <html>"),
    "g.xml": (XML[:-5], "breaks off before the end of its root element"),
    "h.xml.gz": (gzip.compress(XML)[:12], "cannot be read as gzip"),
}


def write_all(folder: Path) -> list[Path]:
    for name, (content, _) in DAMAGES.items():
        (folder / name).write_bytes(content)
    good = [folder / "0.jsonl", folder / "z.jsonl"]
    for path in good:
        path.write_text(f'{{"_id": "{path.stem}", "text": "whole"}}\n')
    return [good[0], *(folder / name for name in DAMAGES), good[1]]


def test_without_strictness_all_whole_sources_are_read_and_each_damaged_one_is_named(tmp_path: Path) -> None:
    sources, report = write_all(tmp_path), CorpusReport()
    ids = [record.id for record in read_corpus(sources, report, strict=False)]
    before_the_cut = len(ids) - 2
    assert ids == ["0", *map(str, range(before_the_cut)), "z"]  # of b.jsonl.gz, with its wrong checksum, there is none
    assert 15_000 < before_the_cut < 20_000
    assert [line.split(":", maxsplit=1)[0] for line in report.damaged] == list(DAMAGES)
    assert report.damaged[0].startswith(f"a.jsonl.gz: after its first {before_the_cut} records: ")
    for line, (_, reason) in zip(report.damaged, DAMAGES.values(), strict=True):
        assert reason in line
        assert "after its first 0 records" in line or line.startswith("a.")
    assert (report.records, report.share_read) == (len(ids), 1.0)


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_source_is_refused_by_default(tmp_path: Path, name: str) -> None:
    good, report = write_all(tmp_path)[0], CorpusReport()
    with pytest.raises(DamagedSource, match=DAMAGES[name][1]):
        list(read_corpus([good, tmp_path / name], report))
    with pytest.raises(DamagedSource, match=DAMAGES[name][1]):
        list(read_source(tmp_path / name, report))


@pytest.mark.parametrize("name", ["missing.jsonl", "a.csv", "folder.xml"])
def test_a_mistake_in_the_command_is_refused_whatever_is_asked(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "folder.xml").mkdir()
    with pytest.raises((FileNotFoundError, ValueError), match=name.split(".", maxsplit=1)[0]):
        check_sources([tmp_path / name], strict=False)


def test_a_source_that_cannot_be_opened_is_named_with_the_reason(tmp_path: Path, monkeypatch) -> None:
    sources, report = write_all(tmp_path), CorpusReport()
    opened = Path.open

    def refuse(path: Path, *how):
        if path == sources[0]:
            raise PermissionError(13, "Permission denied")
        return opened(path, *how)

    monkeypatch.setattr(Path, "open", refuse)
    assert [record.id for record in read_corpus([sources[0], sources[-1]], report, strict=False)] == ["z"]
    (line,) = report.damaged
    assert line.startswith("0.jsonl: after its first 0 records")
    assert "Permission denied" in line


def test_a_source_that_vanishes_while_others_are_read_is_named(tmp_path: Path) -> None:
    sources, report = write_all(tmp_path), CorpusReport()
    records = read_corpus([sources[0], sources[-1]], report, strict=False)
    assert next(records).id == "0"
    sources[-1].unlink()
    assert list(records) == []
    assert "No such file" in report.damaged[0]


def test_a_limit_ends_json_lines_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES + b"no json\n")
    report = CorpusReport(bytes_total=len(LINES) + 8)
    assert [record.id for record in read_source(tmp_path / "a.jsonl", report, limit=3)] == ["0", "1", "2"]
    assert (report.records, report.skipped.total(), report.share_read) == (3, 0, 1.0)
