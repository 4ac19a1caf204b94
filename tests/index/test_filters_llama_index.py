"""LlamaIndex's MetadataFilters, compared with the function of its simple vector store over the same metadata."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index.filters.filters import condition

pytest.importorskip("llama_index.core")

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

Found = Callable[[str | None], set[str]]
Metadata = dict[str, Any]
LISTED = (FilterOperator.IN, FilterOperator.NIN, FilterOperator.ANY, FilterOperator.ALL)
TEXTS = (FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE)
ORDERS = (FilterOperator.GT, FilterOperator.GTE, FilterOperator.LT, FilterOperator.LTE)
CONTAINING = (FilterOperator.CONTAINS, FilterOperator.ANY, FilterOperator.ALL)


@pytest.fixture(scope="module")
def metadata(various_records: list[Record]) -> dict[str, Metadata]:
    return {one.id: {"title": one.title, "retracted": False, **one.metadata.facts()} for one in various_records}


def matches(asked: MetadataFilter | MetadataFilters, facts: Metadata) -> bool:
    """LlamaIndex's answer, but for what the page on filters names: lists have their entries, and nothing raises an error."""
    if isinstance(asked, MetadataFilters):
        parts = [matches(one, facts) for one in asked.filters]
        answers = {FilterCondition.AND: all(parts), FilterCondition.OR: any(parts), FilterCondition.NOT: not any(parts)}
        return not parts or answers[asked.condition or FilterCondition.AND]
    value = facts.get(asked.key)
    opposite = {FilterOperator.NE: FilterOperator.EQ, FilterOperator.NIN: FilterOperator.IN}
    if asked.operator in opposite:
        return not matches(MetadataFilter(key=asked.key, value=asked.value, operator=opposite[asked.operator]), facts)
    if isinstance(value, dict) and asked.operator in CONTAINING:
        return asked.operator == FilterOperator.ALL and asked.value == []
    if isinstance(value, int | float) and asked.operator in CONTAINING:  # LlamaIndex raises an error
        wanted = asked.value if isinstance(asked.value, list) else [asked.value]
        return (all if asked.operator == FilterOperator.ALL else any)(one == value for one in wanted)
    entries = value if isinstance(value, list) and asked.operator in (FilterOperator.EQ, FilterOperator.IN) else []
    return any(own_answer(asked, one) for one in (value, *entries))


def own_answer(asked: MetadataFilter, value: Any) -> bool:
    try:
        return build_metadata_filter_fn(lambda _: {asked.key: value}, MetadataFilters(filters=[asked]))("x")
    except TypeError:
        return False


def some_filter(draw: random.Random, metadata: dict[str, Metadata], depth: int = 0) -> MetadataFilter | MetadataFilters:
    if depth and (depth == 3 or draw.random() < 0.6):
        return some_comparison(draw, metadata)
    parts = [some_filter(draw, metadata, depth + 1) for _ in range(draw.randrange(4))]
    return MetadataFilters(filters=parts, condition=draw.choice([*FilterCondition, None]))


def some_comparison(draw: random.Random, metadata: dict[str, Metadata]) -> MetadataFilter:
    example = draw.choice(list(metadata.values()))
    key, operator = draw.choice([*example, "k", "absent"]), draw.choice(list(FilterOperator))
    own = example.get(key)
    entries = own if isinstance(own, list) else [own]
    choices = [one for one in (*entries, "A", 3, 3.5, 1, "2015") if type(one) in (str, int, float)]
    texts = [one for one in choices if isinstance(one, str)]
    parts = [one[draw.randrange(len(one) + 1) :][: draw.randrange(1, 9)] for one in texts]
    if operator in TEXTS:
        return MetadataFilter(
            key=key, operator=operator, value=draw.choice((draw.choice(parts), draw.choice(parts).upper()))
        )
    if operator in LISTED:
        kind = draw.choice((texts + parts, [3, 1], [3.5, 1.0]))
        return MetadataFilter(key=key, operator=operator, value=draw.choices(kind, k=draw.randrange(3)))
    same = isinstance(own, list) and len({str, *map(type, own)}) == 1
    whole = same and operator in (FilterOperator.EQ, FilterOperator.NE) and draw.random() < 0.3
    if operator in ORDERS and key != "k" and isinstance(own, str | int):  # of another type they would be refused
        choices, parts = [one for one in choices if isinstance(one, str) == isinstance(own, str)], []
    return MetadataFilter(key=key, operator=operator, value=own if whole else draw.choice((*choices, *parts)))


def test_random_filters_find_what_llama_index_finds(metadata: dict[str, Metadata], found: Found) -> None:
    draw = random.Random(5)
    sizes = set()
    for _ in range(100):
        asked = some_filter(draw, metadata)
        wanted = {key for key, facts in metadata.items() if matches(asked, facts)}
        assert found(condition(asked)) == wanted, asked
        sizes.add(len(wanted))
    assert len(sizes) > 15


@pytest.mark.parametrize("operator", list(FilterOperator))
def test_every_operator_finds_some_and_leaves_some(
    operator: FilterOperator, metadata: dict[str, Metadata], found: Found
) -> None:
    texts = operator in TEXTS or operator in (FilterOperator.ANY, FilterOperator.ALL, FilterOperator.CONTAINS)
    key, value = ("journal", "ature") if texts else ("n", 1)
    asked = MetadataFilters(
        filters=[MetadataFilter(key=key, operator=operator, value=[value] if operator in LISTED else value)]
    )
    wanted = {id for id, facts in metadata.items() if matches(asked, facts)}
    assert 0 < len(wanted) < len(metadata)
    assert found(condition(asked)) == wanted


@pytest.mark.parametrize(
    ("operator", "value", "said"),
    [
        ("in", "Nature", "takes a list"),
        ("any", 3, "takes a list"),
        ("text_match", 3, "takes a text"),
        (">", None, "texts and numbers"),
        (">", float("nan"), "finite number"),
    ],
)
def test_what_cannot_be_asked_is_refused(operator: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        condition(MetadataFilters(filters=[MetadataFilter(key="k", operator=operator, value=value)]))


@pytest.mark.parametrize(("key", "value"), [("year", "2015"), ("date", 2015)])
def test_an_order_that_no_record_can_have_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{key} is a .*, and > cannot compare it with"):
        condition(MetadataFilter(key=key, operator=">", value=value))


def test_one_filter_alone_will_do(metadata: dict[str, Metadata], found: Found) -> None:
    asked = MetadataFilter(key="journal", value="Nature")
    wanted = {id for id, facts in metadata.items() if facts.get("journal") == "Nature"}
    assert wanted
    assert found(condition(asked)) == found(condition(MetadataFilters(filters=[asked]))) == wanted
