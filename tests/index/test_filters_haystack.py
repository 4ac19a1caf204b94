"""Haystack's filter dictionaries, compared with Haystack's own function over the same documents."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index.filters.filters import condition
from bmretriever_integrations.index.schema import period_of

pytest.importorskip("haystack")

from haystack import Document
from haystack.errors import FilterError
from haystack.utils.filters import document_matches_filter

Found = Callable[[str | None], set[str]]
WHOLE_DAY = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?", re.DOTALL)
ORDERS = (">", ">=", "<", "<=")
NUMBERS = ("meta.year", "meta.version")
TEXTS = ("id", "content", *(f"meta.{key}" for key in ("title", "date", "journal", "doi", "pmcid", "revised")))


@pytest.fixture(scope="module")
def documents(various_records: list[Record]) -> list[Document]:
    return [
        Document(
            id=one.id, content=one.text, meta={"title": one.title, "retracted": False, **year, **one.metadata.facts()}
        )
        for one in various_records
        for year in [{"year": int(one.metadata.date[:4])} if one.metadata.date else {}]
    ]


def value_of(field: str, document: Document) -> Any:
    if not field.startswith("meta."):
        return getattr(document, field)
    value: Any = document.meta
    for key in field.split(".")[1:]:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def matches(asked: dict[str, Any], document: Document) -> bool:
    """Haystack's answer, but for what the page on filters names: lists have their entries, and no comparison raises an error."""
    if "conditions" in asked:
        parts = [matches(one, document) for one in asked["conditions"]]
        return {"AND": all(parts), "OR": any(parts), "NOT": not all(parts)}[asked["operator"]]
    value, operator = value_of(asked["field"], document), asked["operator"]
    if operator in ("!=", "not in"):
        return not matches({**asked, "operator": {"!=": "==", "not in": "in"}[operator]}, document)
    if operator in ORDERS and asked["value"] in ("2015", "2015-03"):
        asked = {**asked, "value": f"{asked['value']}-01-01"[:10]}
    if operator in ORDERS and isinstance(value, str):
        if asked["field"] == "meta.date":
            value = period_of(value)[0].isoformat()
        elif not WHOLE_DAY.fullmatch(value):
            return False
    values = [value, *value] if isinstance(value, list) and operator in ("==", "in") else [value]
    return any(own_answer(asked, replace(document, meta={"x": one})) for one in values)


def own_answer(asked: dict[str, Any], document: Document) -> bool:
    try:
        return document_matches_filter({**asked, "field": "meta.x"}, document)
    except (FilterError, TypeError):
        return False


def some_comparison(draw: random.Random, documents: list[Document]) -> dict[str, Any]:
    example = draw.choice(documents)
    named = ["meta.year", "id", "content", "meta.absent", "meta.k.a", "meta.journal.x", "meta.day"]
    field = draw.choice([*named, *(f"meta.{key}" for key in example.meta if "." not in key)])
    operator = draw.choice(("==", "!=", *ORDERS, "in", "not in"))
    if operator in ORDERS:
        days = (
            "2015",
            "2015-03",
            "2015-03-14",
            "2015-03-14T12:00:00",
            "2019-05-06T08:00:00+00:00",
            datetime(2019, 5, 6, 9, 30),
        )
        numbers = (0, 1, 3, 3.5, -2.5, True, 2015, 2014.5, 2**31, 2**60)
        values = (*(() if field in NUMBERS else days), *(() if field in TEXTS else numbers), None)
        return {"field": field, "operator": operator, "value": draw.choice(values)}
    own = value_of(field, example)
    entries = own if isinstance(own, list) and own and draw.random() < 0.7 else [own]
    entries = [
        *entries,
        *draw.choices((1, 0, 3.0, "3", True, None, "A", "2019-05-06T08:00:00Z", 2019, 2015.5, 2**40), k=2),
    ]
    entries = [one for one in entries if not isinstance(one, dict)]
    value = draw.sample(entries, 2) if operator.endswith("in") else draw.choice(entries)
    return {"field": field, "operator": operator, "value": value}


def some_filter(draw: random.Random, documents: list[Document], depth: int = 0) -> dict[str, Any]:
    if depth == 3 or draw.random() < 0.5:
        return some_comparison(draw, documents)
    parts = [some_filter(draw, documents, depth + 1) for _ in range(draw.randrange(4))]
    return {"operator": draw.choice(("AND", "OR", "NOT")), "conditions": parts}


def test_random_filters_find_what_haystack_finds(documents: list[Document], found: Found) -> None:
    draw = random.Random(11)
    sizes = set()
    for _ in range(100):
        asked = some_filter(draw, documents)
        wanted = {one.id for one in documents if matches(asked, one)}
        assert found(condition(asked)) == wanted, asked
        sizes.add(len(wanted))
    assert len(sizes) > 15


@pytest.mark.parametrize(
    ("value", "days"),
    [
        ("2019-05-06T10:00:00Z", {"2019-05-06T10:00:00Z"}),
        ("2019-05-06T09:00:00", {"2019-05-06T09:00:00"}),
        ("2019-05-06T11:00:00+03:00", {"2019-05-06T10:00:00+02:00"}),
        (datetime(2019, 5, 6, 8, tzinfo=UTC), {"2019-05-06T10:00:00+02:00"}),
        ("2015-03-14T00:00:00", {"2015-03-14"}),
    ],
)
def test_points_in_time_are_equal_in_any_zone(
    value: Any, days: set[str], various_records: list[Record], found: Found
) -> None:
    wanted = {one.id for one in various_records if one.metadata.other.get("day") in days}
    assert wanted
    assert found(condition({"field": "meta.day", "operator": "==", "value": value})) == wanted


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"field": "meta.x", "value": 1}, "'operator' key missing"),
        ({"field": "meta.x", "operator": "=="}, "'value' key missing"),
        ({"operator": "AND"}, "'conditions' key missing"),
        ({"journals": "Nature"}, "filters have no field 'journals'"),
        ({"field": "meta.x", "operator": "like", "value": "x"}, "Unknown comparison operator 'like'"),
        ({"operator": "XOR", "conditions": []}, "Unknown logical operator 'XOR'"),
        ({"field": "meta.x", "operator": "in", "value": "x"}, "must be a `list`"),
        ({"field": "meta.x", "operator": ">", "value": "x"}, "ISO formatted dates"),
        ({"field": "meta.x", "operator": ">", "value": [1]}, "can't be of type list"),
    ],
)
def test_errors_say_what_haystack_says(asked: dict[str, Any], said: str, documents: list[Document]) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        condition(asked)
    with pytest.raises((FilterError, TypeError)):
        document_matches_filter(asked, Document(content="", meta={"x": "2015-01-01"}))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"field": "meta.x", "operator": "==", "value": float("nan")}, "finite number"),
        ({"field": "meta.x", "operator": ">", "value": float("inf")}, "finite number"),
        ({"field": "meta.x", "operator": "==", "value": {"a": 1}}, "texts, numbers"),
        ({"field": "meta.x", "operator": "==", "value": "\ud800"}, "lone surrogate"),
        ({"field": "embedding", "operator": "==", "value": 1}, "cannot be filtered by 'embedding'"),
        ({"field": 3, "operator": "==", "value": 1}, "'field' is a name"),
        ({"operator": "AND", "conditions": "x"}, "list of dictionaries"),
        ({"operator": "AND", "conditions": ["x"]}, "is a dictionary such as"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        condition(asked)


def test_no_filter_is_an_empty_dictionary() -> None:
    assert condition({}) is None


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("meta.date", 2015, "date is a text, and >= cannot compare it with the number 2015; write the date in quotes"),
        ("meta.year", "2015", "year is a number, and >= cannot compare it with a date in quotes"),
        ("id", 33419956, "id is a text, and >= cannot compare it with the number 33419956"),
    ],
)
def test_an_order_that_no_record_can_have_is_refused_as_haystack_does(
    field: str, value: Any, said: str, documents: list[Document]
) -> None:
    asked = {"field": field, "operator": ">=", "value": value}
    with pytest.raises((FilterError, TypeError)):
        [document_matches_filter(asked, one) for one in documents]
    with pytest.raises(ValueError, match=said):
        condition(asked)
