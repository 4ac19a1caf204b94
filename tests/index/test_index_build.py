"""Building: the right vectors, equal bytes however often it stops, and refusal to mix."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder, files
from bmretriever_integrations.corpus import DamagedSource, read_corpus
from bmretriever_integrations.index import DamagedIndex, IndexMismatch, SearchIndex, build_index
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import reference_encode, write_tiny_checkpoint


def test_vectors_are_the_references_in_the_records_order(tmp_path: Path, encoder, tiny, write_jsonl) -> None:
    source = write_jsonl(tmp_path / "c.jsonl", 25)
    report = build_index(encoder, [source], tmp_path / "i", shard_size=10)
    assert (report.records, report.embedded, report.searchable) == (25, 25, 25)
    records, vectors = zip(*SearchIndex.open(tmp_path / "i").entries(), strict=True)
    assert list(records) == list(read_corpus([source]))
    expected = reference_encode(tiny("llama"), [passage_prompt(r.text, r.title) for r in records])
    errors = np.linalg.norm(np.stack(vectors) - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert errors.max() <= 1e-5


def test_manifest_says_how_the_vectors_were_made(tmp_path: Path, encoder, write_jsonl) -> None:
    source = write_jsonl(tmp_path / "c.jsonl", 25)
    build_index(encoder, [source], tmp_path / "i", shard_size=10)
    manifest = json.loads((tmp_path / "i" / "manifest.json").read_text())
    assert manifest["encoder"] == encoder.identity()
    assert manifest["passage_template"] == "Represent this passage\npassage: {title} {text}"
    assert manifest["metric"] == "dot"
    assert manifest["complete"] is True
    assert manifest["sources"] == [{"name": "c.jsonl", "bytes": source.stat().st_size}]
    assert manifest["counts"] == {"records": 25, "searchable": 25, "replaced": 0, "deleted": 0, "skipped": {}}
    assert [shard["records"] for shard in manifest["shards"]] == [10, 10, 5]
    assert set(manifest["versions"]) == {"bmretriever-integrations", "numpy", "tokenizers", "torch", "transformers"}


def test_two_runs_give_the_same_bytes_and_a_third_changes_nothing(
    tmp_path: Path, encoder, write_jsonl, contents
) -> None:
    source = write_jsonl(tmp_path / "c.jsonl", 25)
    for folder in ("a", "b"):
        build_index(encoder, [source], tmp_path / folder, shard_size=10)
    before = contents(tmp_path / "a")
    assert before == contents(tmp_path / "b")
    assert build_index(encoder, [source], tmp_path / "a", shard_size=10).embedded == 0
    assert contents(tmp_path / "a") == before


def test_free_memory_does_not_decide_the_bytes(tmp_path: Path, tiny, write_jsonl, contents, monkeypatch) -> None:
    source = write_jsonl(tmp_path / "c.jsonl", 200)
    for folder, tokens in (("a", 4096), ("b", 600)):
        monkeypatch.setattr(
            "bmretriever_integrations.encoder.encoder.choose_batch_tokens", lambda *_, tokens=tokens: tokens
        )
        with BMRetrieverEncoder(tiny("llama"), dtype="float32", device="cpu") as engine:
            assert engine.max_batch_tokens == tokens
            build_index(engine, [source], tmp_path / folder)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_an_index_grows_by_limit_and_by_sources_to_the_bytes_of_one_run(
    tmp_path, encoder, write_jsonl, contents
) -> None:
    one, two = write_jsonl(tmp_path / "1.jsonl", 25), write_jsonl(tmp_path / "2.jsonl", 12, start=25)
    grown = tmp_path / "grown"
    assert build_index(encoder, [one], grown, limit=13, shard_size=10).records == 13
    assert build_index(encoder, [one], grown, shard_size=10).embedded == 15  # the part-filled shard anew, and the rest
    assert build_index(encoder, [one, two], grown, shard_size=10).embedded == 17
    build_index(encoder, [one, two], tmp_path / "once", shard_size=10)
    assert contents(grown) == contents(tmp_path / "once")


def test_another_model_or_setting_is_refused_with_both_values(
    tmp_path: Path, encoder, tiny, write_jsonl, contents
) -> None:
    source, folder = write_jsonl(tmp_path / "c.jsonl", 12), tmp_path / "i"
    build_index(encoder, [source], folder, shard_size=10)
    before = contents(folder)
    model = str(tiny("llama"))
    other = str(write_tiny_checkpoint(tmp_path / "other", "llama", seed=1))
    for engine, size, words in (
        (BMRetrieverEncoder(other, dtype="float32"), 10, [repr(model), repr(other)]),
        (BMRetrieverEncoder(model, dtype="float32", max_length=64), 10, ["max_length=512", "max_length=64"]),
        (BMRetrieverEncoder(model, dtype="bfloat16"), 10, ["dtype='float32'", "dtype='bfloat16'"]),
        (BMRetrieverEncoder(model, dtype="float32", normalize=True), 10, ["normalize=False", "normalize=True"]),
        (BMRetrieverEncoder(model, dtype="float32"), 20, ["shard_size=10", "shard_size=20"]),
    ):
        with engine, pytest.raises(IndexMismatch) as caught:
            build_index(engine, [source], folder, shard_size=size)
        assert all(word in str(caught.value) for word in words)
    assert contents(folder) == before


def test_the_same_model_in_another_folder_is_the_same_model(tmp_path: Path, encoder, tiny, write_jsonl) -> None:
    source = write_jsonl(tmp_path / "c.jsonl", 12)
    build_index(encoder, [source], tmp_path / "i", limit=5)
    copy = shutil.copytree(tiny("llama"), tmp_path / "copy")
    with BMRetrieverEncoder(copy, dtype="float32", device="cpu") as engine:
        assert build_index(engine, [source], tmp_path / "i").records == 12


def test_other_records_are_refused_and_nothing_changes(tmp_path: Path, encoder, write_jsonl, contents) -> None:
    source, folder = write_jsonl(tmp_path / "c.jsonl", 25), tmp_path / "i"
    build_index(encoder, [source], folder, shard_size=10)
    before = contents(folder)
    other, shorter = write_jsonl(tmp_path / "other.jsonl", 25, start=3), write_jsonl(tmp_path / "shorter.jsonl", 20)
    with pytest.raises(IndexMismatch, match=r"shard 0 holds others .* made from c\.jsonl .* reads other\.jsonl"):
        build_index(encoder, [other], folder, shard_size=10)
    with pytest.raises(IndexMismatch, match="give only 20 records"):
        build_index(encoder, [shorter], folder, shard_size=10)
    with pytest.raises(IndexMismatch, match="holds 25 records; a limit of 24 would drop some"):
        build_index(encoder, [source], folder, limit=24, shard_size=10)
    assert contents(folder) == before


def test_a_damaged_source_keeps_finished_shards_and_goes_on_once_repaired(
    tmp_path, encoder, write_jsonl, contents
) -> None:
    whole = gzip.compress(write_jsonl(tmp_path / "c.jsonl", 1000).read_bytes(), mtime=0)
    source = tmp_path / "c.jsonl.gz"
    source.write_bytes(whole)
    build_index(encoder, [source], tmp_path / "once", shard_size=100)
    source.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DamagedSource, match=r"c\.jsonl\.gz is damaged after its first"):
        build_index(encoder, [source], tmp_path / "i", shard_size=100)
    safe = SearchIndex.open(tmp_path / "i")
    assert len(safe) in range(100, 1000, 100)
    assert not safe.manifest.complete
    source.write_bytes(whole)
    assert build_index(encoder, [source], tmp_path / "i", shard_size=100).embedded == 1000 - len(safe)
    assert contents(tmp_path / "i") == contents(tmp_path / "once")


@pytest.mark.parametrize("call", range(8))
def test_a_full_disk_is_told_and_what_is_finished_stays(
    tmp_path, encoder, write_jsonl, contents, monkeypatch, call
) -> None:
    source, folder = write_jsonl(tmp_path / "c.jsonl", 25), tmp_path / "i"
    build_index(encoder, [source], tmp_path / "once", shard_size=10)
    calls = iter(range(1000))
    sync = os.fsync

    def full(handle: int) -> None:  # a disk that takes so many files and folders, and no more
        if next(calls) >= 2 * call:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(
        OSError, match=rf"no space left for .* Its {call // 3 * 10} records in finished shards are safe; make room"
    ):
        build_index(encoder, [source], folder, shard_size=10)
    monkeypatch.setattr(files.os, "fsync", sync)
    assert not list(folder.glob(".*.tmp"))
    assert len(SearchIndex.open(folder)) == call // 3 * 10 if call >= 3 else not (folder / "manifest.json").exists()
    assert build_index(encoder, [source], folder, shard_size=10).embedded == 25 - call // 3 * 10
    assert contents(folder) == contents(tmp_path / "once")


def test_memory_holds_one_shard_not_the_corpus(tmp_path: Path, encoder, write_jsonl, monkeypatch) -> None:
    monkeypatch.setattr(encoder, "encode_passages", lambda texts, titles: np.zeros((len(texts), 64), np.float32))

    def peak(count: int) -> int:
        source = write_jsonl(tmp_path / f"{count}.jsonl", count)
        tracemalloc.start()
        build_index(encoder, [source], tmp_path / str(count), shard_size=500)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    assert peak(20_000) < peak(2_000) + 18_000 * 150  # bytes; a record and its vector have 400


def test_a_folder_with_other_files_is_refused_and_untouched(tmp_path: Path, encoder, write_jsonl, contents) -> None:
    source, folder = write_jsonl(tmp_path / "c.jsonl", 5), tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("all my work")
    with pytest.raises(DamagedIndex, match=r"holds other files \(thesis\.txt\)"):
        build_index(encoder, [source], folder)
    assert contents(folder) == {"thesis.txt": b"all my work"}
    with pytest.raises(NotADirectoryError, match="is a file"):
        build_index(encoder, [source], source)


def test_sources_without_a_record_leave_no_index(tmp_path: Path, encoder) -> None:
    source = tmp_path / "c.jsonl"
    source.write_text("nonsense\n")
    with pytest.raises(ValueError, match=r"no record to index; 1 were left out, the first: c\.jsonl:1: not JSON"):
        build_index(encoder, [source], tmp_path / "i")
    assert not (tmp_path / "i" / "manifest.json").exists()


@pytest.mark.parametrize("name", ["limit", "shard_size"])
def test_counts_below_one_are_refused(tmp_path: Path, encoder, write_jsonl, name: str) -> None:
    source = write_jsonl(tmp_path / "c.jsonl", 5)
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        build_index(encoder, [source], tmp_path / "i", **{name: 0})


def test_a_second_writer_is_refused_while_the_first_is_at_work(tmp_path: Path, encoder, write_jsonl) -> None:
    source, folder = write_jsonl(tmp_path / "c.jsonl", 5), tmp_path / "i"
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
            build_index(encoder, [source], folder)
    finally:
        other.kill()  # the lock dies with its process
        other.communicate()
    assert build_index(encoder, [source], folder).records == 5
