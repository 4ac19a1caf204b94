"""Building: the right vectors, of each record once; nothing is done twice, and nothing of two kinds is mixed."""

from __future__ import annotations

import gzip
import json
import shutil
import tracemalloc
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.corpus import read_corpus
from bmretriever_integrations.index import DamagedIndex, IndexMismatch, build_index
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import reference_encode, write_tiny_checkpoint


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def test_vectors_are_the_references(tmp_path, encoder, tiny, write_jsonl, rows_in, portion) -> None:
    portion(10)
    source = write_jsonl(tmp_path / "c.jsonl", 25)
    report = build_index(encoder, [source], tmp_path / "i")
    assert (report.records, report.embedded, report.corpus.records) == (25, 25, 25)
    rows = rows_in(tmp_path / "i")
    records = list(read_corpus([source]))
    assert [rows[record.id][0] for record in records] == records
    expected = reference_encode(tiny("llama"), [passage_prompt(record.text, record.title) for record in records])
    found = np.stack([np.frombuffer(rows[record.id][1], np.float64) for record in records])
    errors = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert errors.max() <= 1e-3
    content = manifest(tmp_path / "i")
    assert errors.max() == pytest.approx(content["vector_error"], rel=0.05)
    assert content["vector_type"] == "float16"


def test_the_manifest_says_how_the_vectors_were_made(tmp_path, encoder, write_jsonl) -> None:
    source = write_jsonl(tmp_path / "c.jsonl", 25)
    build_index(encoder, [source], tmp_path / "i")
    content = manifest(tmp_path / "i")
    assert content["encoder"] == encoder.identity()
    assert content["passage_template"] == "Represent this passage\npassage: {title} {text}"
    assert (content["metric"], content["complete"], content["begun"]) == ("dot", True, None)
    (read,) = content["sources"]
    assert (read["name"], read["bytes"], read["records"]) == ("c.jsonl", source.stat().st_size, 25)
    assert set(content["versions"]) == {"bmretriever-integrations", "numpy", "tokenizers", "torch", "transformers"}


def test_the_same_sources_again_are_not_read_and_change_nothing(
    tmp_path, portion_engines, write_jsonl, contents, monkeypatch
) -> None:
    one, two = write_jsonl(tmp_path / "1.jsonl", 25), write_jsonl(tmp_path / "2.jsonl", 12, start=25)
    folder, engines = tmp_path / "i", portion_engines()
    build_index(engines, [one, two], folder)
    before = contents(folder)
    read = []
    monkeypatch.setattr(
        "bmretriever_integrations.index.ingest.reading.read_source", lambda path, *_, **__: read.append(path)
    )
    renamed = one.rename(tmp_path / "renamed.jsonl")
    report = build_index(engines, [two, renamed], folder)
    assert (report.records, report.embedded, report.not_read_again) == (37, 0, ["2.jsonl", "renamed.jsonl"])
    assert read == []
    assert len(engines.texts) == 37
    assert contents(folder) == before


def test_the_same_command_later_gives_the_space_of_old_versions_back(
    tmp_path, portion_engines, write_jsonl, rows_in, monkeypatch
) -> None:
    source, folder, engines = write_jsonl(tmp_path / "c.jsonl", 5), tmp_path / "i", portion_engines()
    build_index(engines, [source], folder)
    rows, files = rows_in(folder), set(manifest(folder)["checksums"])
    monkeypatch.setattr("bmretriever_integrations.index.table.OLD_VERSIONS", timedelta(milliseconds=2))
    assert build_index(engines, [source], folder).embedded == 0
    content = manifest(folder)
    assert content["complete"] is True
    assert set(content["checksums"]) < files
    assert len([name for name in content["checksums"] if name.startswith("records.lance/_versions/")]) == 1
    assert rows_in(folder) == rows


def test_a_source_is_read_again_where_its_content_or_the_reader_changed(
    tmp_path, portion_engines, write_jsonl, rows_in, monkeypatch
) -> None:
    source, folder, engines = write_jsonl(tmp_path / "c.jsonl", 5), tmp_path / "i", portion_engines()
    build_index(engines, [source], folder)
    first, old = rows_in(folder), source.read_bytes()
    source.write_text('{"_id": "r0", "title": "other", "text": "x"}\n', encoding="utf-8")
    assert build_index(engines, [source], folder).embedded == 1
    assert rows_in(folder)["r0"][0].title == "other"
    source.write_bytes(old)
    report = build_index(engines, [source], folder)
    assert (report.embedded, report.unchanged, report.not_read_again) == (1, 4, [])
    assert {key: row[0] for key, row in rows_in(folder).items()} == {key: row[0] for key, row in first.items()}
    monkeypatch.setattr("bmretriever_integrations.index.ingest.reading.VERSION", "another")
    report = build_index(engines, [source], folder)
    assert (report.embedded, report.unchanged) == (0, 5)


def test_a_new_source_needs_no_other(tmp_path, portion_engines, write_jsonl, rows_in) -> None:
    one, two = write_jsonl(tmp_path / "1.jsonl", 25), write_jsonl(tmp_path / "2.jsonl", 12, start=20)
    build_index(portion_engines(), [one], tmp_path / "i")
    one.unlink()
    report = build_index(portion_engines(), [two], tmp_path / "i")
    assert (report.records, report.embedded, report.unchanged) == (32, 7, 5)
    assert {source for *_, source in rows_in(tmp_path / "i").values()} == {"1.jsonl", "2.jsonl"}


def test_a_limit_takes_the_first_records_and_drops_none(
    tmp_path, portion_engines, portion, write_jsonl, rows_in
) -> None:
    portion(10)
    one, two = write_jsonl(tmp_path / "1.jsonl", 25), write_jsonl(tmp_path / "2.jsonl", 12, start=25)
    folder = tmp_path / "i"
    assert build_index(portion_engines(), [one, two], folder, limit=13).records == 13
    assert set(rows_in(folder)) == {f"r{number}" for number in range(13)}
    report = build_index(portion_engines(), [one, two], folder, limit=30)
    assert (report.records, report.embedded, report.unchanged) == (30, 17, 13)
    report = build_index(portion_engines(), [one, two], folder, limit=26)  # the 25 that are not read again count
    assert (report.records, report.embedded, report.not_read_again) == (30, 0, ["1.jsonl"])
    assert build_index(portion_engines(), [one, two], folder).records == 37
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        build_index(portion_engines(), [one], folder, limit=0)


def test_vectors_do_not_depend_on_free_memory(tmp_path, tiny, write_jsonl, rows_in, monkeypatch) -> None:
    source = write_jsonl(tmp_path / "c.jsonl", 200)
    for folder, tokens in (("a", 4096), ("b", 600)):
        monkeypatch.setattr(
            "bmretriever_integrations.encoder.encoder.choose_batch_tokens", lambda *_, tokens=tokens: tokens
        )
        with BMRetrieverEncoder(tiny("llama"), dtype="float32", device="cpu") as engine:
            assert engine.max_batch_tokens == tokens
            build_index(engine, [source], tmp_path / folder)
    assert rows_in(tmp_path / "a") == rows_in(tmp_path / "b")


def test_another_model_or_setting_is_refused_with_both_values(tmp_path, encoder, tiny, write_jsonl, contents) -> None:
    source, folder = write_jsonl(tmp_path / "c.jsonl", 12), tmp_path / "i"
    build_index(encoder, [source], folder)
    before = contents(folder)
    model = str(tiny("llama"))
    other = str(write_tiny_checkpoint(tmp_path / "other", "llama", seed=1))
    for engine, words in (
        (BMRetrieverEncoder(other, dtype="float32"), [repr(model), repr(other)]),
        (BMRetrieverEncoder(model, dtype="float32", max_length=64), ["max_length=512", "max_length=64"]),
        (BMRetrieverEncoder(model, dtype="bfloat16"), ["dtype='float32'", "dtype='bfloat16'"]),
        (BMRetrieverEncoder(model, dtype="float32", normalize=True), ["normalize=False", "normalize=True"]),
    ):
        with engine, pytest.raises(IndexMismatch) as caught:
            build_index(engine, [source], folder)
        assert all(word in str(caught.value) for word in words)
    assert contents(folder) == before


def test_the_same_model_in_another_folder_is_the_same_model_and_its_new_place_is_kept(
    tmp_path, encoder, tiny, write_jsonl
) -> None:
    source, folder = write_jsonl(tmp_path / "c.jsonl", 12), tmp_path / "i"
    build_index(encoder, [source], folder, limit=5)
    copy = shutil.copytree(tiny("llama"), tmp_path / "copy")
    with BMRetrieverEncoder(copy, dtype="float32", device="cpu") as engine:
        assert build_index(engine, [source], folder).records == 12
    assert manifest(folder)["encoder"]["model"] == str(copy)


def test_a_folder_with_other_files_is_refused_and_untouched(tmp_path, encoder, write_jsonl, contents) -> None:
    source, folder = write_jsonl(tmp_path / "c.jsonl", 5), tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("all my work")
    with pytest.raises(DamagedIndex, match=r"holds other files \(thesis\.txt\)"):
        build_index(encoder, [source], folder)
    assert contents(folder) == {"thesis.txt": b"all my work"}
    with pytest.raises(NotADirectoryError, match="is a file"):
        build_index(encoder, [source], source)


def test_sources_without_a_record_begin_no_index(tmp_path, portion_engines) -> None:
    source = tmp_path / "c.jsonl"
    source.write_text("nonsense\n")
    with pytest.raises(ValueError, match=r"no record to index; 1 were left out, the first: c\.jsonl:1: not JSON"):
        build_index(portion_engines(), [source], tmp_path / "i")
    assert not (tmp_path / "i" / "manifest.json").exists()


@pytest.mark.parametrize(("largest", "stored"), [(1.0, "float16"), (1e5, "float32"), (1e-7, "float32")])
@pytest.mark.parametrize("first", [True, False])
def test_vectors_that_float16_would_spoil_are_stored_in_float32(
    tmp_path, portion_engines, portion, write_jsonl, rows_in, monkeypatch, largest, stored, first
) -> None:
    portion(4)
    source, folder, engines = write_jsonl(tmp_path / "c.jsonl", 10), tmp_path / "i", portion_engines()
    made: list[np.ndarray] = []
    embed = engines.submit_passages

    def submit(*job):
        future = embed(*job)
        future.result()[...] *= largest if first or made else 1.0
        made.append(future.result())
        return future

    monkeypatch.setattr(engines, "submit_passages", submit)
    build_index(engines, [source], folder)
    found = np.stack([np.frombuffer(vector, np.float64) for _record, vector, _source in rows_in(folder).values()])
    assert found.shape == (10, 16)
    content = manifest(folder)
    assert content["vector_type"] == stored
    assert content["vector_error"] < 1e-3
    wanted = np.concatenate(made)
    lengths = np.linalg.norm(found, axis=1), np.linalg.norm(wanted.astype(np.float64), axis=1)
    np.testing.assert_allclose(*map(np.sort, lengths), rtol=1e-3)


def test_memory_holds_a_few_portions_not_the_corpus(tmp_path, portion_engines, portion, write_jsonl) -> None:
    portion(250)

    def peak(count: int) -> int:
        source = write_jsonl(tmp_path / f"{count}.jsonl", count)
        engines = portion_engines()
        engines.texts = None
        tracemalloc.start()
        build_index(engines, [source], tmp_path / str(count))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    assert peak(5_000) < peak(2_000) + 3_000 * 300  # bytes; a record in memory has 700


def test_many_engines_make_the_rows_of_one(tmp_path, portion_engines, portion, write_jsonl, rows_in) -> None:
    portion(7)
    source = write_jsonl(tmp_path / "c.jsonl", 100)
    packed = tmp_path / "c.jsonl.gz"
    packed.write_bytes(gzip.compress(source.read_bytes()))
    build_index(portion_engines(1), [source], tmp_path / "one")
    build_index(portion_engines(4), [packed], tmp_path / "four")
    one, four = rows_in(tmp_path / "one"), rows_in(tmp_path / "four")
    assert {key: row[:2] for key, row in one.items()} == {key: row[:2] for key, row in four.items()}
