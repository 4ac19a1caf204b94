"""Labels, and that filters look them and the other indices up."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index import Filters
from bmretriever_integrations.index.filters.filters import condition
from bmretriever_integrations.index.filters.labels import key_label, labels_of


def test_case_and_white_space_make_no_other_label() -> None:
    records = [
        Metadata(journal="The  New England journal of medicine", mesh=("Lung Neoplasms",), languages=("ger",)),
        Metadata(journal="the new england Journal of Medicine ", mesh=("LUNG neoplasms",), languages=("German",)),
    ]
    assert labels_of(records[0]) == labels_of(records[1])
    assert labels_of(records[0]) == [
        "journal:the new england journal of medicine",
        "languages:ger",
        "mesh:lung neoplasms",
    ]


def test_a_major_topic_is_another_label_than_a_topic() -> None:
    assert labels_of(Metadata(mesh=("Aged",), mesh_major=("Aged",))) == ["mesh:aged", "mesh_major:aged"]


def test_equal_values_of_a_key_share_a_label() -> None:
    assert len({key_label(["k"], value) for value in (1, 1.0, True)}) == 1
    assert len({key_label(["k"], value) for value in (0, 0.0, -0.0, False)}) == 1
    assert len({key_label(["k"], value) for value in (1, "1", 2, "true")}) == 4
    assert key_label(["a", "b"], "x") != key_label(["a"], "x") != key_label(["b"], "x")


def test_all_that_can_be_asked_of_a_key_has_a_label() -> None:
    other = {"k": "A", "list": [1, "B", None, [2]], "object": {"inner": {"deep": 3.5}}, "none": None, "huge": 10**400}
    asked = ((["k"], "A"), (["list"], 1), (["list"], "B"), (["object", "inner", "deep"], 3.5))
    assert labels_of(Metadata(other=other)) == sorted(key_label(path, value) for path, value in asked)


def test_a_million_values_have_few_labels() -> None:
    labels = {key_label(["id"], f"value {number}") for number in range(200_000)}
    assert 50_000 < len(labels) <= 65_536
    assert max(map(len, labels)) <= 10


@pytest.mark.parametrize(
    "asked",
    [
        Filters(since="2015-03-14", until="2015-03-14"),
        Filters(since="2015"),
        Filters(until="2015"),
        Filters(publication_types="review"),
        Filters(mesh="humans"),
        Filters(mesh_major="humans"),
        Filters(journal="nature"),
        Filters(languages="eng"),
        Filters(ids=7),
        Filters(other={"k": "A"}),
        Filters(other={"k": [3, "A"]}),
        Filters(other={"k": "A"}, mesh="humans", where="title like '%x%'"),
        {"field": "meta.journal", "operator": "in", "value": ["Nature", "x"]},
        {"field": "meta.mesh", "operator": "==", "value": "Humans"},
        {"field": "meta.mesh", "operator": "not in", "value": ["Humans", "Aged"]},
        {"field": "meta.date", "operator": ">=", "value": "2015"},
        {"field": "meta.year", "operator": ">=", "value": 2016},
        {"field": "meta.year", "operator": "in", "value": [2015, 2016]},
        {"field": "meta.k", "operator": "==", "value": 3},
        {"field": "meta.retracted", "operator": "==", "value": False},
    ],
)
def test_an_index_is_looked_up(asked: Any, various_tables: list[Any]) -> None:
    _bare, indexed = various_tables
    assert "ScalarIndexQuery" in indexed.search().where(condition(asked)).explain_plan()


@pytest.mark.parametrize(
    "asked", [{"field": "meta.k", "operator": ">", "value": 3}, Filters(authors="Smith, John A"), Filters(keywords="%")]
)
def test_what_has_no_index_is_scanned(asked: Any, various_tables: list[Any]) -> None:
    assert "ScalarIndexQuery" not in various_tables[1].search().where(condition(asked)).explain_plan()


def test_rows_that_are_rewritten_and_deleted_are_found_by_what_they_now_say(
    various_records: list[Record], tmp_path: Path
) -> None:
    pytest.importorskip("lancedb")
    from bmretriever_integrations.index.schema import table_of
    from bmretriever_integrations.index.table import create_table, optimize

    draw, now = random.Random(13), {record.id: record for record in various_records}
    table = create_table(tmp_path, 8, "float16")

    def write(records: list[Record]) -> None:
        vectors = np.zeros((len(records), 8), np.float32)
        merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
        merge.execute(table_of(records, vectors, ["made.jsonl"] * len(records), "float16"))

    def check() -> None:
        for word in ("Humans", "Aged", "it's"):
            for asked in (Filters(mesh=word), {"field": "meta.mesh", "operator": "==", "value": word}):
                rows = table.search().where(condition(asked)).select(["id"]).limit(1000).to_list()
                assert {row["id"] for row in rows} == {one.id for one in now.values() if word in one.metadata.mesh}
        rows = table.search().where(condition(Filters(other={"k": ["A", 3]}))).select(["id"]).limit(1000).to_list()
        held = {one.id: one.metadata.other.get("k") for one in now.values()}
        assert {row["id"] for row in rows} == {
            key
            for key, value in held.items()
            if any(part in ("A", 3) for part in (value if isinstance(value, list) else [value]))
        }

    write(various_records)
    for _ in range(4):
        optimize(table)
        check()
        ids = draw.sample(sorted(now), 60)
        changed = {key: replace(now[key], metadata=draw.choice(various_records).metadata) for key in ids}
        write(list(changed.values()))
        now.update(changed)
        gone = draw.sample(sorted(now), 10)
        table.delete(condition(Filters(ids=gone)))
        now = {key: record for key, record in now.items() if key not in gone}
        check()
