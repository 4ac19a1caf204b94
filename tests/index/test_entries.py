"""Records that an index gives out for other stores: Documents of Haystack and nodes of LlamaIndex, in lists."""

from __future__ import annotations

import json
import weakref

import numpy as np
import pytest

from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index import Filters, SearchIndex, delete_records

WAYS = ("to_haystack", "to_llama_index")


def facts_of(made):
    """Id, text, metadata without what a node repeats, and vector of a Document or a node."""
    if hasattr(made, "content"):
        return made.id, made.content, made.meta, made.embedding
    metadata = dict(made.metadata)
    assert metadata.pop("id") == made.node_id
    return made.node_id, made.text, metadata, made.embedding


@pytest.fixture(params=WAYS)
def give(request):
    """A function: index, arguments -> what ``to_haystack`` or ``to_llama_index`` returns."""
    pytest.importorskip("haystack" if request.param == "to_haystack" else "llama_index.core")
    return lambda index, *arguments, **named: getattr(index, request.param)(*arguments, **named)


def test_every_record_is_given_out_with_its_own_vector(give, stored, index) -> None:
    lists = list(give(index, 250))
    assert [len(one) for one in lists] == [250, 250, 100]
    made = {facts_of(one)[0]: facts_of(one) for part in lists for one in part}
    assert len(made) == len(stored.records)
    for record, vector in zip(stored.records, stored.vectors, strict=True):
        _, text, metadata, embedding = made[record.id]
        year = {"year": int(record.metadata.date[:4])} if record.metadata.date else {}
        assert text == record.text
        assert metadata == {
            "title": record.title,
            **record.metadata.facts(),
            "retracted": record.metadata.retracted,
            **year,
        }
        np.testing.assert_array_equal(np.array(embedding, np.float32), vector)


@pytest.mark.parametrize(
    ("filters", "belongs"),
    [
        (Filters(since="2010", until="2015"), lambda record: (record.metadata.date or "")[:4] in map(str, range(2010, 2016))),
        ("NOT retracted", lambda record: not record.metadata.retracted),
        (
            {"field": "meta.journal", "operator": "==", "value": "BMJ"},
            lambda record: record.metadata.journal == "BMJ",
        ),
        (None, lambda record: True),
    ],
)  # fmt: skip
def test_a_part_is_given_out(give, stored, index, filters, belongs) -> None:
    wanted = [record.id for record in stored.records if belongs(record)]
    assert 0 < len(wanted) <= 600
    assert sorted(facts_of(one)[0] for part in give(index, filters=filters) for one in part) == sorted(wanted)
    assert sorted(record.id for record, _ in index.entries(filters)) == sorted(wanted)


def test_nothing_is_given_out_where_nothing_fits(give, index) -> None:
    assert list(give(index, filters="year = 1800")) == []


@pytest.mark.parametrize("size", [0, -1, 2.5, "10", None, True])
def test_a_wrong_size_is_told_at_once(give, index, size) -> None:
    with pytest.raises(ValueError, match="batch_size must be a whole number from 1, got"):
        give(index, size)


def test_wrong_filters_are_told(give, index) -> None:
    with pytest.raises(TypeError, match="filters are Filters"):
        give(index, filters=3)
    with pytest.raises(ValueError, match=r"cannot filter by 'colour = 3'"):
        list(give(index, filters="colour = 3"))


def test_one_list_is_in_memory(give, index) -> None:
    held: list[weakref.ref] = []
    for part in give(index, 50):
        assert sum(one() is not None for one in held) == 0
        held += map(weakref.ref, part)
        del part
    assert len(held) == 600


def test_what_is_deleted_meanwhile_is_given_out_to_the_end(give, write_index, some_records, encoder, tmp_path) -> None:
    vectors = np.random.default_rng(3).standard_normal((600, encoder.width), np.float32)
    folder = write_index(tmp_path / "i", some_records, vectors).folder
    with SearchIndex.open(folder) as opened:
        lists = give(opened, 100)
        first = next(lists)
        delete_records(folder, [record.id for record in some_records[:-1]])
        assert len(first) + sum(map(len, lists)) == 600
        assert [len(part) for part in give(opened)] == [1]


@pytest.fixture(scope="module")
def various(write_index, various_records, encoder, tmp_path_factory):
    """An index of records with facts of every kind."""
    vectors = np.random.default_rng(1).standard_normal((len(various_records), encoder.width), np.float32)
    return SearchIndex.open(write_index(tmp_path_factory.mktemp("various") / "i", various_records, vectors).folder)


def test_plain_metadata_are_texts_numbers_and_truths(give, various, various_records) -> None:
    made = {facts_of(one)[0]: facts_of(one)[2] for part in give(various, plain_metadata=True) for one in part}
    as_they_are = {facts_of(one)[0]: facts_of(one)[2] for part in give(various) for one in part}
    kinds = {type(value) for metadata in as_they_are.values() for value in metadata.values()}
    assert {list, dict, type(None)} <= kinds  # there is something to bring into texts
    for record in various_records:
        plain, facts = made[record.id], as_they_are[record.id]
        assert set(plain) == {key for key, value in facts.items() if value is not None}
        for key, value in plain.items():
            if isinstance(facts[key], str | int | float):
                assert value == facts[key]
                assert type(value) is type(facts[key])
            elif isinstance(facts[key], list) and all(isinstance(part, str) for part in facts[key]):
                assert value == "; ".join(facts[key])
            else:
                assert json.loads(value) == facts[key]


def test_a_year_of_its_own_stays_where_there_is_no_date(give, write_index, encoder, tmp_path) -> None:
    records = [
        Record("1", "Zinc", "", Metadata(date="2015-03", other={"year": "spring"})),
        Record("2", "Salt", "", Metadata(other={"year": "spring"})),
    ]
    written = write_index(tmp_path / "i", records, np.ones((2, encoder.width), np.float32))
    with SearchIndex.open(written.folder) as opened:
        found = [facts_of(one)[2] for part in give(opened) for one in part]
    assert [metadata["year"] for metadata in found] == [2015, "spring"]
    assert [metadata["retracted"] for metadata in found] == [False, False]
