"""A job of Ray Data writes the table of an index, though a worker is killed; and what its classes take and refuse."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import pickle
import signal
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.corpus import read_corpus
from bmretriever_integrations.index import SearchIndex, build_index, index_table
from bmretriever_integrations.index.schema import record_of
from bmretriever_integrations.ray_data import BMRetrieverIndexRows, read_sources

pa = pytest.importorskip("pyarrow")
EXAMPLE = Path(__file__).parents[2] / "examples" / "ray_index.py"
WORDS = ["aspirin", "stroke", "insulin", "glucose", "tumour", "biopsy", "enzyme", "receptor", "placebo", "cohort"]
QUIET = [
    "ignore::DeprecationWarning:ray",
    "ignore:lance is not fork-safe:UserWarning",  # said where processes are forked by default; Ray forks none of ours
]


def citation(number: int) -> str:
    words = " ".join(WORDS[(number * 7 + j * j) % 10] for j in range(3 + number % 17))
    article = (
        f"<Journal><Title>J {number % 3}</Title><JournalIssue><PubDate><Year>{1990 + number % 30}</Year></PubDate>"
        f"</JournalIssue></Journal><ArticleTitle>Study {number}</ArticleTitle><Abstract><AbstractText>{words}"
        "</AbstractText></Abstract>"
    )
    return (
        f"<PubmedArticle><MedlineCitation><PMID Version='1'>{number}</PMID><Article>{article}</Article></MedlineCitation>"
        "</PubmedArticle>"
    )


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three files of 60 records: PubMed's XML, and JSON lines with keys of their own and an older record of an id."""
    folder = tmp_path_factory.mktemp("sources")
    xml = f"<PubmedArticleSet>{''.join(map(citation, range(1, 61)))}</PubmedArticleSet>"
    (folder / "a.xml").write_text(xml)
    for number, name in enumerate(("b.jsonl", "c.jsonl")):
        rows = [
            {"_id": f"{name}{i}", "text": f"{WORDS[i % 10]} {WORDS[i % 7]} " * (i % 5 + 1), "ward": i}
            for i in range(59)
        ]
        rows.append({"_id": "both", "text": f"of {name}", "authors": ["Roe, R"] * number})
        (folder / name).write_text("\n".join(map(json.dumps, rows)))
    return [folder / name for name in ("a.xml", "b.jsonl", "c.jsonl")]


@pytest.mark.filterwarnings(*QUIET)
def test_a_job_loses_and_doubles_nothing_though_an_actor_is_killed(
    cluster, checkpoint, sources, tmp_path, monkeypatch
) -> None:
    import ray.data

    pytest.importorskip("lance_ray", reason="lance-ray is not installed")
    spec = importlib.util.spec_from_file_location("ray_index", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    killed = tmp_path / "killed"

    class Killed(BMRetrieverIndexRows):
        """The first actor ends at its third batch."""

        batches = 0

        def __init__(self, model: str) -> None:
            super().__init__(model, dtype="float32", device="cpu")

        def __call__(self, batch: Any) -> Any:
            self.batches += 1
            if self.batches == 3 and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(batch)

    monkeypatch.setattr(example, "BMRetrieverIndexRows", Killed)
    monkeypatch.setattr(example, "BATCH", 25)
    monkeypatch.setattr(example, "ROWS_OF_A_FILE", 50)
    folder = tmp_path / "i"
    example.write_table(sources, folder, str(checkpoint), workers=1)
    assert killed.exists()
    report = index_table(folder, device="cpu")
    assert (report.records, report.outdated) == (179, 1)
    with BMRetrieverEncoder(checkpoint, dtype="float32", device="cpu") as encoder:
        build_index(encoder, sources, tmp_path / "one")
        with SearchIndex.open(folder) as index, SearchIndex.open(tmp_path / "one") as other:
            ours, theirs = ({record.id: (record, vector) for record, vector in one.entries()} for one in (index, other))
        assert build_index(encoder, sources, folder).unchanged == 178  # all but those of the id that is there twice
    assert {key: record for key, (record, _vector) in ours.items()} == {
        key: one for key, (one, _vector) in theirs.items()
    }
    for key, (_record, vector) in theirs.items():
        assert np.linalg.norm(ours[key][1] - vector) <= 1e-3 * np.linalg.norm(vector)


@pytest.fixture
def rows_of(checkpoint: Path) -> BMRetrieverIndexRows:
    return BMRetrieverIndexRows(str(checkpoint), dtype="float32", device="cpu")


def test_columns_of_any_data_set_are_read_like_the_keys_of_a_json_line(rows_of, checkpoint) -> None:
    batch = pa.table(
        {
            "id": [7, 8],
            "title": ["T", None],
            "text": ["a", "b"],
            "date": [date(2015, 3, 14), None],
            "mesh_terms": [["Humans"], None],
            "ward": [1.5, float("nan")],
        }
    )
    made = rows_of(batch)
    one, two = (record_of(row) for row in made.to_pylist())
    assert (one.id, one.title, one.metadata.date, one.metadata.mesh) == ("7", "T", "2015-03-14", ("Humans",))
    assert (two.title, one.metadata.other, two.metadata.other) == ("", {"ward": 1.5}, {})
    assert made["vector"].type == pa.list_(pa.float16(), 64)
    said = json.loads(made["made_by"][1].as_py())
    with BMRetrieverEncoder(checkpoint, dtype="float32", device="cpu") as encoder:
        assert said["encoder"] == encoder.identity()
        expected = encoder.encode_passages(["a", "b"], ["T", ""])
    assert np.abs(np.stack(made["vector"].to_numpy()) - expected).max() <= 1e-3 * np.abs(expected).max()
    copy = pickle.dumps(rows_of)
    assert len(copy) < 2000  # no weights
    assert pickle.loads(copy)(batch).equals(made)
    assert rows_of(batch.slice(0, 0)).schema == made.schema
    full = BMRetrieverIndexRows(str(checkpoint), dtype="float32", device="cpu", vector_type="float32")
    assert full(batch)["vector"].type == pa.list_(pa.float32(), 64)


@pytest.mark.parametrize(
    ("batch", "kind", "words"),
    [
        ({"id": ["1"], "text": ["a"]}, TypeError, "batch_format='pyarrow'"),
        (pa.table({"text": ["a"]}), ValueError, r"row 0 of a batch is no record \(no _id\)"),
        (pa.table({"id": ["1", "2"], "text": ["a", None]}), ValueError, r"row 1 .*text is not a string"),
        (pa.table({"id": ["1"], "text": ["a"], "x": [b"b"]}), TypeError, "holds bytes, which is no fact"),
    ],
)
def test_what_is_no_record_is_refused(rows_of, batch, kind, words) -> None:
    with pytest.raises(kind, match=words):
        rows_of(batch)
    with pytest.raises(ValueError, match="vector_type must be float16 or float32"):
        BMRetrieverIndexRows(vector_type="int8")


def test_files_become_rows_and_what_is_left_out_is_logged(sources, tmp_path, monkeypatch, caplog) -> None:
    class Files:
        """A data set that reads at once."""

        def __init__(self, items: list[dict[str, str]], override_num_blocks: int) -> None:
            assert override_num_blocks == len(items)
            self.items = items

        def map_batches(self, read: Any, **_named: Any) -> list[Any]:
            return [rows for item in self.items for rows in read(pa.table({"path": [item["path"]]}))]

    data = pytest.importorskip("ray.data")
    monkeypatch.setattr(data, "from_items", Files)
    rows = [row for table in read_sources(sources) for row in table.to_pylist()]
    assert [record_of(row) for row in rows] == list(read_corpus(sources))
    assert [(row["source"], row["place"]) for row in rows[59:61]] == [("a.xml", 59), ("b.jsonl", 0)]

    cut, gone = tmp_path / "cut.jsonl", tmp_path / "update.xml"
    cut.write_text('{"_id": "1", "text": "a"}\n{"_id": "2"\n{"_id": "3", "text": "c"}\n')
    with caplog.at_level(logging.WARNING):
        (table,) = read_sources([cut])
    assert table["id"].to_pylist() == ["1", "3"]
    assert "left out 1 records: cut.jsonl:2: " in caplog.text
    gone.write_text(
        f"<PubmedArticleSet>{citation(1)}<DeleteCitation><PMID>5</PMID></DeleteCitation></PubmedArticleSet>"
    )
    with pytest.raises(ValueError, match=r"update\.xml withdraws 1 records, which a job cannot remove"):
        read_sources([gone])
    full = tmp_path / "full.nxml"
    full.write_text(
        "<article><front><article-meta><article-id pub-id-type='pmc'>PMC7</article-id><title-group><article-title>T"
        "</article-title></title-group></article-meta></front><body><sec><title>S</title><p>Words.</p></sec></body></article>"
    )
    with pytest.raises(ValueError, match=r"full\.nxml holds full texts"):
        read_sources([full])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_sources([tmp_path / "nowhere.jsonl"])
