"""Whatever stops a run, what is committed stays, nothing is half done, and the same call ends with an undisturbed run's rows."""

from __future__ import annotations

import errno
import gzip
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bmretriever_integrations.corpus import DamagedSource
from bmretriever_integrations.index import build_index
from bmretriever_integrations.index.ingest import writing


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


@pytest.fixture
def source(tmp_path, write_jsonl, portion) -> Path:
    portion(10)
    return write_jsonl(tmp_path / "c.jsonl", 95)


@pytest.fixture
def undisturbed(source, tmp_path, portion_engines, rows_in) -> dict:
    build_index(portion_engines(), [source], tmp_path / "undisturbed")
    return rows_in(tmp_path / "undisturbed")


def threads() -> set[str]:
    ours = ("bmretriever-corpus", "bmretriever-writer")
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(ours)}


@pytest.mark.parametrize("error", [FloatingPointError("NaN"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("portion_number", [0, 3, 9])
def test_an_engine_that_fails_leaves_the_portions_before(
    tmp_path, source, undisturbed, portion_engines, rows_in, monkeypatch, error, slots, portion_number
) -> None:
    engines, begun = portion_engines(slots), []
    submit = engines.submit_passages

    def failing(*job):
        begun.append(job)
        if len(begun) > portion_number:
            raise error
        return submit(*job)

    monkeypatch.setattr(engines, "submit_passages", failing)
    with pytest.raises(type(error)):
        build_index(engines, [source], tmp_path / "i")
    assert not threads()
    safe = rows_in(tmp_path / "i")
    assert len(safe) % 10 == 0
    assert len(safe) <= 10 * portion_number
    assert set(safe) == {f"r{number}" for number in range(len(safe))}  # the first ones, without a hole
    assert safe.items() <= undisturbed.items()
    report = build_index(portion_engines(slots), [source], tmp_path / "i")
    assert rows_in(tmp_path / "i") == undisturbed
    assert (report.embedded, report.unchanged) == (95 - len(safe), len(safe))
    assert manifest(tmp_path / "i")["complete"]


@pytest.mark.parametrize("place", ["add", "manifest"])
@pytest.mark.parametrize("commit", [0, 4])
def test_a_full_disk_is_told_and_what_is_committed_stays(
    tmp_path, source, undisturbed, portion_engines, rows_in, monkeypatch, place, commit
) -> None:
    done = []

    def full(work):
        def call(*arguments, **named):
            done.append(work)
            if len(done) > commit:
                if place == "manifest":
                    raise OSError(errno.ENOSPC, "No space left on device")
                raise RuntimeError(
                    "lance error: LanceError(IO): No space left on device (os error 28), writer.rs:191:9"
                )
            return work(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        if place == "manifest":
            patch.setattr(writing.Writer, "save", full(writing.Writer.save))
        else:
            patch.setattr(writing, "table_of", full(writing.table_of))
        with pytest.raises(OSError, match=r"no space left for .*Its \d+ records are safe; make room"):
            build_index(portion_engines(3), [source], tmp_path / "i")
    assert not threads()
    assert rows_in(tmp_path / "i").items() <= undisturbed.items()
    build_index(portion_engines(3), [source], tmp_path / "i")
    assert rows_in(tmp_path / "i") == undisturbed


def test_other_errors_of_the_table_are_not_taken_for_a_full_disk(
    tmp_path, source, portion_engines, monkeypatch
) -> None:
    def broken(*_arguments):
        raise RuntimeError("lance error: something else (os error 5)")

    monkeypatch.setattr(writing, "table_of", broken)
    with pytest.raises(RuntimeError, match="something else"):
        build_index(portion_engines(), [source], tmp_path / "i")


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("slots", [1, 4])
def test_a_damaged_source_is_read_up_to_its_damage_and_anew_once_it_is_repaired(
    tmp_path, source, undisturbed, portion_engines, write_jsonl, rows_in, slots, strict
) -> None:
    whole = gzip.compress(source.read_bytes(), mtime=0)
    packed = tmp_path / "c.jsonl.gz"
    packed.write_bytes(whole[: len(whole) * 2 // 3])
    later = write_jsonl(tmp_path / "later.jsonl", 5, start=200)
    folder = tmp_path / "i"
    if strict:
        with pytest.raises(DamagedSource, match=r"c\.jsonl\.gz is damaged after its first"):
            build_index(portion_engines(slots), [packed, later], folder, strict=True)
    else:
        (named,) = build_index(portion_engines(slots), [packed, later], folder).corpus.damaged
        assert named.startswith("c.jsonl.gz: after its first ")
    assert ("r200" in rows_in(folder)) != strict
    assert 10 < len(rows_in(folder)) < 95
    assert [one["name"] for one in manifest(folder)["sources"]] == ([] if strict else ["c.jsonl.gz", "later.jsonl"])
    packed.write_bytes(whole)
    report = build_index(portion_engines(slots), [packed, later], folder)
    assert (report.records, report.corpus.damaged) == (100, [])
    assert {key: row[0] for key, row in rows_in(folder).items() if row[2] != "later.jsonl"} == {
        key: row[0] for key, row in undisturbed.items()
    }


def test_the_same_damaged_source_again_changes_nothing_and_is_named_again(tmp_path, portion_engines, rows_in) -> None:
    """Read again after the other source, it would win over it."""
    packed, later, folder = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl", tmp_path / "i"
    lines = [f'{{"_id": "{number}", "text": "of a, {number * 12345 % 9973}"}}' for number in range(300)]
    packed.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0)[:-200])
    later.write_text('{"_id": "0", "text": "of b"}\n')
    reports = [build_index(portion_engines(), [packed, later], folder) for _ in range(2)]
    assert rows_in(folder)["0"][0].text == "of b"
    assert reports[1].not_read_again == ["a.jsonl.gz", "b.jsonl"]
    assert (reports[1].corpus.damaged, reports[1].embedded) == (reports[0].corpus.damaged, 0)
    with pytest.raises(DamagedSource, match=r"a\.jsonl\.gz is damaged after its first"):
        build_index(portion_engines(), [packed, later], folder, strict=True)


def test_a_source_that_the_disk_did_not_give_is_read_again(tmp_path, source, portion_engines, monkeypatch) -> None:
    def failing(path: Path, file: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    other = tmp_path / "other.jsonl"
    other.write_text('{"_id": "x", "text": "x"}\n')
    with monkeypatch.context() as patch:
        patch.setattr("bmretriever_integrations.corpus.reading.verify", failing)
        with pytest.raises(ValueError, match="hold no record"):
            build_index(portion_engines(), [source, other], tmp_path / "i")
    report = build_index(portion_engines(), [source, other], tmp_path / "i")
    assert (report.not_read_again, report.corpus.damaged, report.records) == ([], [], 96)


def test_a_limit_before_a_damage_counts_what_is_taken(tmp_path, source, portion_engines) -> None:
    packed = tmp_path / "c.jsonl.gz"
    packed.write_bytes(gzip.compress(source.read_bytes(), mtime=0)[:-200])
    report = build_index(portion_engines(), [packed], tmp_path / "i", limit=5)
    assert (report.corpus.records, report.records, manifest(tmp_path / "i")["sources"]) == (5, 5, [])


@pytest.mark.parametrize("strict", [True, False])
def test_a_source_that_changes_while_it_is_read_does_not_count_as_read(
    tmp_path, source, portion_engines, rows_in, monkeypatch, strict
) -> None:
    engines = portion_engines()
    submit = engines.submit_passages

    def growing(*job):
        if not source.read_text().endswith("more"):
            source.write_text(source.read_text() + "more")
        return submit(*job)

    monkeypatch.setattr(engines, "submit_passages", growing)
    if strict:
        with pytest.raises(DamagedSource, match=r"c\.jsonl: it was changed while it was read"):
            build_index(engines, [source], tmp_path / "i", strict=True)
    else:
        report = build_index(engines, [source], tmp_path / "i")
        assert "c.jsonl: it was changed while it was read; run the same command again" in report.corpus.damaged
    assert manifest(tmp_path / "i")["sources"] == []
    report = build_index(portion_engines(), [source], tmp_path / "i")
    assert report.not_read_again == []
    assert report.records == 95


def test_an_update_that_stops_is_gone_on_with_where_it_stopped(
    tmp_path, source, portion_engines, rows_in, monkeypatch
) -> None:
    """Ids that come twice in a source have changed since the table was first compared with it."""
    lines = source.read_text().splitlines()
    source.write_text("\n".join(lines[:30] + [line.replace("Study", "Trial") for line in lines[:30]]) + "\n")
    build_index(portion_engines(), [source], tmp_path / "once")
    engines, begun = portion_engines(), []
    submit = engines.submit_passages

    def failing(*job):
        begun.append(job)
        if len(begun) == 5:
            raise FloatingPointError
        return submit(*job)

    monkeypatch.setattr(engines, "submit_passages", failing)
    with pytest.raises(FloatingPointError):
        build_index(engines, [source], tmp_path / "i")
    engines = portion_engines()
    build_index(engines, [source], tmp_path / "i")
    assert len(engines.texts) == 20
    assert rows_in(tmp_path / "i") == rows_in(tmp_path / "once")


def test_a_second_writer_is_refused_while_the_first_is_at_work(tmp_path, source, portion_engines) -> None:
    folder = tmp_path / "i"
    folder.mkdir()
    hold = (
        "import sys; from pathlib import Path; from bmretriever_integrations.files import only_writer\n"
        "with only_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", hold, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError, match="is being written by another process"):
            build_index(portion_engines(), [source], folder)
    finally:
        other.kill()  # the lock dies with its process
        other.communicate()
    assert build_index(portion_engines(), [source], folder).records == 95
