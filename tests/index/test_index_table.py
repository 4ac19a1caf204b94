"""A table that several processes wrote becomes an index that is like one of `build_index`, or is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.cli import main
from bmretriever_integrations.corpus import Metadata, Record, read_corpus
from bmretriever_integrations.encoder.cut_texts import CutTextWarning
from bmretriever_integrations.index import DamagedIndex, IndexMismatch, SearchIndex, build_index, index_table
from bmretriever_integrations.index.checksums import find_damage
from bmretriever_integrations.index.ingest.job_rows import MadeBy, job_rows
from bmretriever_integrations.index.manifest import manifest_of
from bmretriever_integrations.index.table import open_table
from bmretriever_integrations.versions import OF_VECTORS, versions_of

pa = pytest.importorskip("pyarrow")
pytest.importorskip("lancedb")

WORDS = ["aspirin", "stroke", "insulin", "glucose", "tumour", "biopsy", "enzyme", "receptor", "placebo", "cohort"]


def lines(first: int, last: int, more: str = "") -> list[dict[str, Any]]:
    """Records with metadata of several kinds."""
    return [
        {
            "_id": f"r{i}",
            "title": f"Study {i}",
            "text": " ".join([*(WORDS[(i * 7 + j * j) % 10] for j in range(3 + i % 17)), more]),
            **({"year": 1990 + i % 30, "mesh": ["Humans", "Aspirin"][: 1 + i % 2], "ward": i} if i % 3 else {}),
        }
        for i in range(first, last)
    ]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files with 30 records each."""
    folder = tmp_path_factory.mktemp("sources")
    for name, rows in (("a.jsonl", lines(0, 30)), ("b.jsonl", lines(30, 60))):
        (folder / name).write_text("\n".join(map(json.dumps, rows)))
    return [folder / "a.jsonl", folder / "b.jsonl"]


@pytest.fixture(scope="module")
def engine(tiny) -> Any:
    with BMRetrieverEncoder(tiny("llama"), dtype="float32", device="cpu") as encoder:
        yield encoder


@pytest.fixture(scope="module")
def made_by(engine: BMRetrieverEncoder) -> MadeBy:
    return MadeBy(engine.identity(), versions_of(OF_VECTORS), 4096, "float16", 0.0)


@pytest.fixture(scope="module")
def rows_of(engine: BMRetrieverEncoder, made_by: MadeBy) -> Callable[..., Any]:
    """A function: records -> the rows that a job makes of them."""

    def rows(records: list[Record], source: str = "a.jsonl", by: MadeBy = made_by, texts: Any = None) -> Any:
        vectors = engine.encode_passages(texts or [one.text for one in records], [one.title for one in records])
        return job_rows(records, vectors, [source] * len(records), range(len(records)), by)

    return rows


def write(folder: Path, *parts: Any) -> Path:
    """Write a table with LanceDB, each part in a file of its own."""
    import lancedb

    folder.mkdir(parents=True, exist_ok=True)
    database = lancedb.connect(folder)
    table = database.create_table("records", parts[0])
    for part in parts[1:]:
        table.add(part)
    return folder


WRITE_FRAGMENTS = """
import pickle, sys
import pyarrow as pa
from lance.fragment import write_fragments
with pa.ipc.open_file(sys.argv[1]) as file:
    rows = file.read_all()
written = write_fragments(rows, sys.argv[2], schema=rows.schema)
pickle.dump(written, open(sys.argv[1] + ".written", "wb"))
"""


def test_fragments_of_two_processes_and_one_commit_are_like_one_run(
    sources, rows_of, engine, tmp_path, rows_in, capfd
) -> None:
    lance = pytest.importorskip("lance", reason="pylance is not installed")
    import pickle

    folder, processes = tmp_path / "i", []
    folder.mkdir()
    uri = str(folder / "records.lance")
    for source in sources:
        rows, file = rows_of(list(read_corpus([source])), source.name), tmp_path / source.stem
        with pa.ipc.new_file(file, rows.schema) as sink:
            sink.write_table(rows)
        processes.append((subprocess.Popen([sys.executable, "-c", WRITE_FRAGMENTS, file, uri]), file))
    assert [process.wait(60) for process, _file in processes] == [0, 0]
    written = [pickle.loads(Path(f"{file}.written").read_bytes()) for _process, file in processes]
    operation = lance.LanceOperation.Overwrite(rows.schema, [fragment for few in written for fragment in few])
    lance.LanceDataset.commit(uri, operation)

    assert main(["index-table", str(folder), "--device", "cpu"]) == 0
    out, err = capfd.readouterr()
    assert out == f"{folder}: 60 records\n"
    assert "60 rows are what the model makes of their texts" in err
    build_index(engine, sources, tmp_path / "one")
    assert without_vectors(rows_in(folder)) == without_vectors(rows_in(tmp_path / "one"))
    ours, theirs = open_table(folder), open_table(tmp_path / "one")
    assert ours.schema == theirs.schema
    columns = [sorted(column for one in table.list_indices() for column in one.columns) for table in (ours, theirs)]
    assert columns[0] == columns[1]
    with SearchIndex.open(folder, device="cpu") as index, SearchIndex.open(tmp_path / "one", device="cpu") as other:
        for mode in ("vector", "text"):
            asked = {"mode": mode, "filters": "year > 2000"}
            hits, expected = (one.search("aspirin and stroke", **asked) for one in (index, other))
            assert [(hit.id, hit.metadata) for hit in hits] == [(hit.id, hit.metadata) for hit in expected]
            # other texts in a batch may change the last bits of a vector
            assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in expected], rel=1e-3)
        assert index.manifest.settings == other.manifest.settings
        assert index.manifest.vector_error == pytest.approx(other.manifest.vector_error, rel=1e-3)


def without_vectors(rows: dict[str, tuple[Record, bytes, str]]) -> dict[str, tuple[Record, str]]:
    return {key: (record, source) for key, (record, _vector, source) in rows.items()}


def test_texts_of_the_sample_that_are_cut_are_counted_in_a_line(rows_of, tmp_path, capfd) -> None:
    long = Record("long", "Long", "insulin " * 600, Metadata())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CutTextWarning)
        folder = write(tmp_path / "i", rows_of([long, Record("short", "Short", "insulin", Metadata())]))
    assert main(["index-table", str(folder), "--device", "cpu"]) == 0
    err = capfd.readouterr().err
    assert "cut: 1 of these are longer than the model reads" in err
    assert "CutTextWarning" not in err


def test_an_update_goes_on_with_it(sources, rows_of, engine, tmp_path) -> None:
    folder = write(tmp_path / "i", rows_of(list(read_corpus(sources))))
    index_table(folder, device="cpu")
    manifest = manifest_of(folder)
    assert manifest.complete
    assert find_damage(folder, manifest) == []
    assert main(["info", str(folder), "--verify"]) == 0
    update = tmp_path / "update.jsonl"
    update.write_text("\n".join(map(json.dumps, [*lines(58, 60, "changed"), *lines(5, 7), *lines(60, 63)])))
    report = build_index(engine, [update], folder)
    assert (report.embedded, report.unchanged, report.records) == (5, 2, 63)
    with SearchIndex.open(folder, device="cpu") as index:
        assert {hit.id for hit in index.search("changed", mode="text")} == {"r58", "r59"}
    # the sources themselves find all there, and are known from then on
    report = build_index(engine, sources, folder)
    assert (report.embedded, report.unchanged, report.records) == (2, 58, 63)
    assert build_index(engine, sources, folder).not_read_again == ["a.jsonl", "b.jsonl"]


def versions(number: int, *facts: tuple[int | None, str | None, str]) -> list[Record]:
    return [Record(f"p{number}", "T", text, Metadata(version=v, revised=day)) for v, day, text in facts]


def test_of_several_rows_of_an_id_the_newest_stays(rows_of, tmp_path) -> None:
    first = [
        *versions(1, (2, None, "newer"), (1, None, "older")),
        *versions(2, (1, "2020-02-02", "newer"), (1, "2020-01-01", "older")),
        *versions(3, (None, None, "of a"), (None, None, "last of a")),
        *versions(4, (1, "2020-01-01", "same")),
        *versions(5, (1, "2020-01-01", "of a")),
        *versions(6, (1, "2020-01-01", "alone")),
    ]
    second = [
        *versions(1, (1, "2024-01-01", "older, though revised")),
        *versions(3, (None, None, "of b")),
        *versions(4, (1, "2020-01-01", "same")),
        *versions(5, (1, "2020-01-01", "of b")),
    ]
    # the table's order is not that of the sources
    folder = write(tmp_path / "i", rows_of(second, "b.jsonl"), rows_of(first, "a.jsonl"))
    report = index_table(folder, device="cpu")
    with SearchIndex.open(folder) as index:
        texts = [one.text for one in index.get([f"p{number}" for number in range(1, 7)])]
    assert texts == ["newer", "newer", "of b", "same", "of b", "alone"]
    assert (report.records, report.unchanged, report.outdated, report.undecided) == (6, 1, 6, 1)


def copied(made: MadeBy, **changes: Any) -> MadeBy:
    return MadeBy(**{**vars(made), **changes})


def test_what_is_not_what_it_says_is_refused(rows_of, made_by, sources, tmp_path) -> None:
    records = list(read_corpus(sources))
    other_weights = copied(made_by, encoder={**made_by.encoder, "files_sha256": "f" * 64})
    other_torch = copied(made_by, versions={**made_by.versions, "torch": "1.0"})
    other_name = copied(made_by, encoder={**made_by.encoder, "model": "the same elsewhere"})
    good, half = rows_of(records), rows_of(records[:30])
    words = good.schema.names.index("words")
    tables = {
        "other weights": ((half, rows_of(records[30:], by=other_weights)), "files_sha256='[0-9a-f]{64}'"),
        "other packages": ((half, rows_of(records[30:], by=other_torch)), "with version of torch='1.0'"),
        "all other weights": ((rows_of(records, by=other_weights),), "model with which .* had f{16}"),
        "vectors of other texts": (
            (rows_of(records, texts=["fever"] * 60),),
            "differs by .*% from what the model makes",
        ),
        "other words": (
            (good.set_column(words, "words", pa.array(["x"] * 60)),),
            "has another words than this version",
        ),
    }
    for name, (parts, message) in tables.items():
        with pytest.raises(IndexMismatch, match=message):
            index_table(write(tmp_path / name, *parts), device="cpu")
        assert not (tmp_path / name / "manifest.json").exists()
    folder = write(tmp_path / "names", half, rows_of(records[30:], by=other_name))
    assert index_table(folder, model=made_by.encoder["model"], device="cpu").records == 60  # its weights count


def test_until_then_it_is_no_index_and_the_way_is_named(rows_of, engine, sources, tmp_path) -> None:
    folder = write(tmp_path / "i", rows_of(list(read_corpus(sources))))
    with pytest.raises(
        FileNotFoundError, match=r"no index .* if a job wrote its table, run `bmretriever index-table .*/i`"
    ):
        SearchIndex.open(folder)
    with pytest.raises(DamagedIndex, match=r"If a job wrote it, run `bmretriever index-table .*/i` first"):
        build_index(engine, sources, folder)
    assert index_table(folder, device="cpu").records == 60


def test_what_a_job_did_not_write_is_refused(rows_of, engine, made_by, sources, tmp_path, capsys) -> None:
    with pytest.raises(FileNotFoundError, match="holds no table"):
        index_table(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="that it lacks: made_by, place; others that it has: none"):
        index_table(write(tmp_path / "plain", rows_of(list(read_corpus(sources))).drop_columns(["made_by", "place"])))
    build_index(engine, sources[:1], tmp_path / "i")
    assert main(["index-table", str(tmp_path / "i")]) == 2
    assert "is an index already; `bmretriever index SOURCE" in capsys.readouterr().err
    large = np.full((1, engine.width), 7e4, np.float32)
    with pytest.raises(ValueError, match=r"record 'r'.*vector_type='float32'"):
        job_rows([Record("r", "T", "t")], large, ["a"], [0], made_by)
    rows = job_rows([Record("r", "T", "t")], large, ["a"], [0], copied(made_by, vector_type="float32"))
    assert rows["vector"].to_numpy()[0][0] == 7e4


def test_stopped_at_any_step_the_same_call_does_it_again(rows_of, sources, tmp_path, monkeypatch, rows_in) -> None:
    from bmretriever_integrations.index.ingest import index_table as module

    records = list(read_corpus(sources))
    made = write(tmp_path / "made", rows_of(records), rows_of(records[:7], "b.jsonl"))
    for step in ("remove_doubles", "optimize", "create_table", "update_checksums"):
        for after in (False, True):
            folder = shutil.copytree(made, tmp_path / f"{step}{after}")
            plain = getattr(module, step)

            def stop(*arguments: Any, plain: Any = plain, after: bool = after, **named: Any) -> None:
                if after:
                    plain(*arguments, **named)
                raise KeyboardInterrupt

            with monkeypatch.context() as patch:
                patch.setattr(module, step, stop)
                with pytest.raises(KeyboardInterrupt):
                    index_table(folder, device="cpu")
            with pytest.raises((FileNotFoundError, DamagedIndex)):
                SearchIndex.open(folder)
            assert index_table(folder, device="cpu").records == 60
            assert len(rows_in(folder)) == 60
