"""Deleting: the records go, and come back with their sources."""

from __future__ import annotations

import json

import pytest

from bmretriever_integrations.files import only_writer
from bmretriever_integrations.index import build_index, delete_records


@pytest.fixture
def folder(tmp_path, portion_engines, write_jsonl):
    write_jsonl(tmp_path / "1.jsonl", 20)
    write_jsonl(tmp_path / "2.jsonl", 20, start=20)
    build_index(portion_engines(), [tmp_path / "1.jsonl", tmp_path / "2.jsonl"], tmp_path / "i")
    return tmp_path / "i"


def test_deleted_records_are_gone_and_come_back_with_their_source(folder, portion_engines, rows_in) -> None:
    before = rows_in(folder)
    report = delete_records(folder, ["r3", "nowhere", "r7", "r3", "' OR 1=1 --"])
    assert sorted(report.deleted) == ["r3", "r7"]
    assert report.unknown == ["nowhere", "' OR 1=1 --"]
    assert report.forgotten == ["1.jsonl"]
    assert set(before) - set(rows_in(folder)) == {"r3", "r7"}
    engines = portion_engines()
    report = build_index(engines, [folder.parent / "1.jsonl", folder.parent / "2.jsonl"], folder)
    assert (report.records, report.embedded, report.unchanged) == (40, 2, 38)
    assert {key: row[0] for key, row in rows_in(folder).items()} == {key: row[0] for key, row in before.items()}


def test_a_deleted_record_comes_back_from_a_file_of_the_same_content_under_another_name(
    folder, portion_engines, rows_in
) -> None:
    one, two = folder.parent / "1.jsonl", folder.parent / "copy of 1.jsonl"
    two.write_bytes(one.read_bytes())
    build_index(portion_engines(), [two, one], folder.parent / "j")
    for name in (one, two):
        assert delete_records(folder.parent / "j", ["r3"]).deleted == ["r3"]
        build_index(portion_engines(), [name], folder.parent / "j")
        assert "r3" in rows_in(folder.parent / "j")


def test_ids_that_are_not_there_change_nothing(folder, contents) -> None:
    before = contents(folder)
    report = delete_records(folder, ["nowhere"])
    assert (report.deleted, report.unknown, report.forgotten) == ([], ["nowhere"], [])
    assert contents(folder) == before


def test_many_ids_at_once(folder, rows_in) -> None:
    ids = [f"r{number}" for number in range(10_000)]
    assert len(delete_records(folder, ids).deleted) == 40
    assert rows_in(folder) == {}
    assert json.loads((folder / "manifest.json").read_text())["sources"] == []


def test_mistakes_are_refused(folder, tmp_path) -> None:
    with pytest.raises(TypeError, match="ids must be a list of strings, got 'r3'"):
        delete_records(folder, "r3")
    with pytest.raises(ValueError, match="no record to delete"):
        delete_records(folder, [])
    with pytest.raises(FileNotFoundError, match="holds no index"):
        delete_records(tmp_path, ["r3"])
    with only_writer(folder), pytest.raises(BlockingIOError, match="is being written"):
        delete_records(folder, ["r3"])
