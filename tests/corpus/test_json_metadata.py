"""The further keys of JSON lines: which are facts under our names, which stay under their own, and what is no value at all."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from bmretriever_integrations.corpus import CorpusReport, Metadata, read_corpus

ROW = {"_id": "1", "title": "T", "text": "a"}


def read(tmp_path: Path, *rows: dict[str, Any]) -> list[Metadata]:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({**ROW, **row}) + "\n" for row in rows))
    report = CorpusReport()
    found = [record.metadata for record in read_corpus([tmp_path / "a.jsonl"], report)]
    assert (len(found), report.skipped.total()) == (len(rows), 0)
    return found


def test_keys_that_name_our_facts_fill_them(tmp_path: Path) -> None:
    row = {
        "date": "2015-03-14",
        "journal": " The  Journal",
        "authors": ["Last, First", "Last, First", "The Group", " "],
        "publication_types": "Review; Journal Article",
        "mesh": ["Zinc", "Humans"],
        "mesh_major": ["Zinc"],
        "keywords": ["IL-6"],
        "language": "eng",
        "doi": "https://doi.org/10.1000/x",
        "pmcid": "pmc12",
        "version": 2,
        "revised": "2021-06-07",
        "retracted": True,
        "retraction_notice": 77,
        "expression_of_concern": "J. 2020;1:2",
    }
    assert read(tmp_path, row, {}) == [
        Metadata(
            date="2015-03-14",
            journal="The Journal",
            authors=("Last, First", "The Group"),
            publication_types=("Review", "Journal Article"),
            mesh=("Zinc", "Humans"),
            mesh_major=("Zinc",),
            keywords=("IL-6",),
            languages=("eng",),
            doi="10.1000/x",
            pmcid="PMC12",
            version=2,
            revised="2021-06-07",
            retracted=True,
            retraction_notice="77",
            expression_of_concern="J. 2020;1:2",
        ),
        Metadata(),
    ]


@pytest.mark.parametrize(
    ("key", "value", "date"),
    [
        ("date", 2015, "2015"),
        ("year", "2015", "2015"),
        ("pub_year", 1998, "1998"),
        ("date", "2015-03", "2015-03"),
        ("pub_date", "2015/3/4", "2015-03-04"),
        ("publication_date", "20150304", "2015-03-04"),
        ("date", "2015-03-04T10:00:00.5+01:00", "2015-03-04"),
        ("date", "2015 Mar 4", "2015-03-04"),
        ("date", "2015 Mar", "2015-03"),
        ("date", "2015-02-30", None),
        ("date", "2015-13", None),
        ("date", "2015 Spring", None),
        ("date", "14.03.2015", None),
        ("date", "03/04/2015", None),
        ("date", "soon", None),
        ("date", "", None),
        ("year", 15, None),
        ("year", 20150, None),
        ("year", True, None),
        ("year", 2015.0, None),
        ("date", ["2015"], None),
    ],
)
def test_a_date_is_taken_if_it_is_one_and_stays_what_it_is_otherwise(tmp_path: Path, key: str, value, date) -> None:
    assert read(tmp_path, {key: value}) == [Metadata(date=date) if date else Metadata(other={key: value})]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("journal", ["J"]),
        ("authors", [{"last": "A"}]),
        ("authors", [["A"]]),
        ("mesh", 7),
        ("keywords", " ; "),
        ("languages", []),
        ("doi", "see below"),
        ("pmcid", "PMC"),
        ("version", 0),
        ("version", "2"),
        ("version", 1 << 31),
        ("version", True),
        ("retracted", "perhaps"),
        ("retracted", 2),
        ("retracted", {}),
        ("retraction_notice", ""),
        ("expression_of_concern", False),
    ],
)
def test_a_value_that_does_not_fit_stays_under_its_key(tmp_path: Path, key: str, value: Any) -> None:
    assert read(tmp_path, {key: value}) == [Metadata(other={key: value})]


@pytest.mark.parametrize(
    ("value", "retracted"), [(True, True), (1, True), ("Yes", True), (False, False), ("false", False)]
)
def test_a_retraction_is_read_in_each_way_that_people_write_it(tmp_path: Path, value: Any, retracted: bool) -> None:
    assert read(tmp_path, {"retracted": value}) == [Metadata(retracted=retracted)]


def test_of_two_keys_for_a_fact_the_first_that_fits_is_taken(tmp_path: Path) -> None:
    (found,) = read(tmp_path, {"date": "soon", "year": 2015, "language": "eng", "languages": ["fre"]})
    assert found == Metadata(date="2015", languages=("fre",), other={"date": "soon", "language": "eng"})


def test_beirs_metadata_count_like_the_rows_own_keys(tmp_path: Path) -> None:
    inner = {
        "url": "https://x.example",
        "year": 2015,
        "license": "inner",
        "id": 9,
        "title": "other",
        "nested": {"a": [1]},
    }
    (found,) = read(tmp_path, {"metadata": inner, "license": "outer"})
    rest = {"url": "https://x.example", "license": "outer", "id": 9, "title": "other", "nested": {"a": [1]}}
    assert found == Metadata(date="2015", other=rest)
    assert read(tmp_path, {"metadata": {}}, {"metadata": "text"}) == [Metadata(), Metadata(other={"metadata": "text"})]


def test_the_keys_of_the_known_layouts_are_no_facts(tmp_path: Path) -> None:
    row = {
        "id": "2",
        "docid": "3",
        "content": "b",
        "contents": "c",
        "PMID": 7,
        "vector": [1],
        "words": "w",
        "source": "s",
    }
    assert read(tmp_path, row) == [Metadata(other={"PMID": 7, "vector": [1], "words": "w", "source": "s"})]


def test_what_no_store_could_hold_is_made_plain(tmp_path: Path) -> None:
    deep: Any = "bottom"
    for _ in range(200):
        deep = [deep]
    odd = {
        "none": None,
        "nan": math.nan,
        "infinity": [math.inf, 1.5],
        "large": 10**30,
        "small": -(2**63),
        "half\ud83d": {"k\ud83d": "v\ud83d"},
        "deep": deep,
        "nul": "a\0b",
        "journal": "J\ud83d",
    }
    (found,) = read(tmp_path, odd)
    other = dict(found.other)
    assert found.journal == "J?"
    assert len(json.dumps(other.pop("deep"))) < 120
    assert other == {
        "infinity": [None, 1.5],
        "large": str(10**30),
        "small": -(2**63),
        "half?": {"k?": "v?"},
        "nul": "a\0b",
    }
    json.dumps(dict(found.other), allow_nan=False, ensure_ascii=False).encode("utf-8")
