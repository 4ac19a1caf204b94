"""Filters, compared with a plain loop over the records."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index import Filters
from bmretriever_integrations.index.filters import condition
from bmretriever_integrations.index.schema import period_of

Found = Callable[[str | None], set[str]]
LABELLED = ("journal", "publication_types", "mesh", "mesh_major", "languages")


def listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def equal(value: Any, wanted: Any) -> bool:
    """As the page says: equal, or a list that has it; None asks for what is missing."""
    return value is None if wanted is None else value == wanted or (isinstance(value, list) and wanted in value)


def matches(record: Record, asked: dict[str, Any]) -> bool:
    facts: Metadata = record.metadata
    for name, wanted in asked.items():
        if name in ("since", "until"):
            period = period_of(facts.date)
            limit = period_of(wanted)
            if period is None or (period[1] < limit[0] if name == "since" else period[0] > limit[1]):
                return False
        elif name == "other":
            if not all(any(equal(facts.other.get(key), one) for one in values) for key, values in wanted.items()):
                return False
        elif name in LABELLED:
            own = {" ".join(value.split()).lower() for value in listed(getattr(facts, name))}
            if not own & {" ".join(value.split()).lower() for value in wanted}:
                return False
        elif not set(listed(getattr(facts, name))) & set(wanted):
            return False
    return True


def test_random_filters_find_what_a_loop_finds(various_records: list[Record], found: Found) -> None:
    draw = random.Random(3)
    sizes = set()
    for _ in range(150):
        asked: dict[str, Any] = {}
        for name in draw.sample(("since", "until", "other", *LABELLED, "authors", "keywords"), draw.choice((1, 1, 2))):
            example = draw.choice(various_records).metadata
            if name in ("since", "until"):
                asked[name] = draw.choice(("2014", "2015", "2015-03", "2015-03-14", "2016", "1999-12-31", "2024-06-30"))
            elif name == "other":
                values = {key: value for key, value in example.other.items() if not isinstance(value, list | dict)}
                asked[name] = {
                    key: [value, *draw.choices((3, "A", None), k=draw.randrange(2))] for key, value in values.items()
                }
            elif values := listed(getattr(example, name)):
                asked[name] = [
                    draw.choice((str, str.upper, str.lower))(one) if name in LABELLED else one for one in values
                ]
        if "since" in asked and "until" in asked and period_of(asked["since"])[0] > period_of(asked["until"])[1]:
            asked["since"], asked["until"] = asked["until"], asked["since"]
        wanted = {record.id for record in various_records if matches(record, asked)}
        assert found(condition(Filters(**asked))) == wanted, asked
        sizes.add(len(wanted))
    assert len(sizes) > 30


@pytest.mark.parametrize("name", ["journal", "mesh", "authors", "keywords"])
def test_hostile_texts_are_plain_texts(name: str, various_records: list[Record], found: Found) -> None:
    values = {value for record in various_records for value in listed(getattr(record.metadata, name))}
    for value in values:
        wanted = {record.id for record in various_records if matches(record, {name: [value]})}
        assert wanted
        assert found(condition(Filters(**{name: value}))) == wanted


def test_hostile_keys_are_plain_keys(various_records: list[Record], found: Found) -> None:
    keys = {key for record in various_records for key in record.metadata.other}
    assert len(keys) > 20
    for key in keys:
        absent = {record.id for record in various_records if record.metadata.other.get(key) is None}
        assert found(condition(Filters(other={key: None}))) == absent
        wanted = {record.id for record in various_records if equal(record.metadata.other.get(key), "A")}
        assert found(condition(Filters(other={key: "A"}))) == wanted
