"""Files that are no pairs are refused by name and row."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bmretriever_integrations.training.pairs.schema import Pair, PairWriter, read_pairs

GOOD = {"task": ["t"] * 2, "instruction": ["Given a, find b"] * 2, "query": ["q", "r"], "positive": ["p", "s"]}


def write(path, **columns):
    pq.write_table(pa.table({name: column for name, column in {**GOOD, **columns}.items() if column is not None}), path)
    return path


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"query": None}, r"lacks the columns query; it has task, instruction, positive"),
        ({"query": [1, 2]}, "column query must be string, it is int64"),
        ({"negatives": ["a", "b"]}, "column negatives must be list"),
        ({"query": ["q", None]}, r"p\.parquet, row 2: query is empty"),
        ({"positive": [" ", "s"]}, r"p\.parquet, row 1: positive is empty"),
        ({"instruction": pa.nulls(2)}, r"row 1: instruction is empty"),
        ({"negatives": [["a"], ["b", None]]}, "row 2: one of the negatives is empty"),
        ({"other_positives": [["a"], [" "]]}, "row 2: one of the other_positives is empty"),
        (
            {"negatives": [["a"]] * 2, "negative_scores": [[1.0], [1.0, 2.0]]},
            "row 2: 1 negatives have 2 negative_scores",
        ),
        ({"negatives": [["a"]] * 2, "negative_scores": [[1.0], [None]]}, "row 2: one of the negative_scores is empty"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, columns, message):
    if columns.get("negative_scores"):
        columns["negative_scores"] = pa.array(columns["negative_scores"], pa.list_(pa.float32()))
    with pytest.raises(ValueError, match=message):
        list(read_pairs(write(tmp_path / "p.parquet", **columns)))


def test_no_rows_no_parquet_and_damage(tmp_path):
    path = tmp_path / "p.parquet"
    write(path, **{name: pa.array([], pa.string()) for name in GOOD})
    with pytest.raises(ValueError, match="holds no pair"):
        list(read_pairs(path))
    path.write_text("text")
    with pytest.raises(ValueError, match="is no parquet file of pairs"):
        list(read_pairs(path))
    content = bytearray(write(path).read_bytes())
    content[4:60] = bytes(56)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        list(read_pairs(path))
    with pytest.raises(FileNotFoundError, match="no pairs at"):
        list(read_pairs(tmp_path / "none"))


def test_a_full_disk_leaves_the_former_file_and_nothing_else(tmp_path, monkeypatch):
    path = write(tmp_path / "p.parquet")
    before = path.read_bytes()

    def full(*_given):
        raise OSError("no space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="no space left"), PairWriter(path) as writer:
        writer.write(Pair(task="t", instruction="i", query="q", positive="p"))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["p.parquet"]


def test_columns_without_values_may_have_any_type(tmp_path):
    pairs = list(read_pairs(write(tmp_path / "p.parquet", negatives=pa.nulls(2), licence=pa.nulls(2))))
    assert [(pair.query, pair.negatives, pair.licence) for pair in pairs] == [("q", (), ""), ("r", (), "")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "p.parquet")
    with pytest.raises(ValueError, match=r"p\.parquet is no regular file"):
        list(read_pairs(tmp_path / "p.parquet"))
