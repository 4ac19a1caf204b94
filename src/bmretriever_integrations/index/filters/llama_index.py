"""LlamaIndex's MetadataFilters as conditions, with the results of its simple vector store. LlamaIndex is not imported."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, cast

from bmretriever_integrations.index.filters.conditions import FALSE, TRUE, Condition, all_of, any_of
from bmretriever_integrations.index.filters.fields import ORDERS, Field, Order, Scalar, column_of
from bmretriever_integrations.index.filters.json_keys import JsonKey

CONDITIONS: dict[str, Callable[[list[Condition]], Condition]] = {
    "and": all_of,
    "or": any_of,
    "not": lambda conditions: any_of(conditions).negated(),  # none of them
}


def is_llama_index(filters: object) -> bool:
    """
    Return whether this looks like MetadataFilters or like one MetadataFilter.

    :param filters: any object.
    """
    return all(hasattr(filters, name) for name in ("filters", "condition")) or all(
        hasattr(filters, name) for name in ("key", "operator", "value")
    )


def from_llama_index(filters: Any) -> Condition:
    """
    Return the condition of LlamaIndex's filters.

    :param filters: MetadataFilters, which may hold others, or one MetadataFilter.
    :raises ValueError: if an operator, a condition or a value is none that is known.
    """
    if not is_llama_index(filters):
        raise ValueError(f"filters of LlamaIndex are MetadataFilter and MetadataFilters; given: {filters!r:.100}")
    if not hasattr(filters, "filters"):
        return _comparison(filters.key, _name(filters.operator), filters.value)
    parts = [from_llama_index(one) for one in filters.filters]
    word = _name(filters.condition or "and")
    if word not in CONDITIONS:
        raise ValueError(f"Invalid filter condition: {word!r:.50}. Valid conditions are: {', '.join(CONDITIONS)}")
    return CONDITIONS[word](parts) if parts else TRUE


def _name(operator: Any) -> str:
    return str(operator.value if isinstance(operator, Enum) else operator)


def _comparison(key: str, operator: str, value: Any) -> Condition:
    if operator not in OPERATORS:
        raise ValueError(f"Invalid operator: {operator!r:.50}. Valid operators are: {', '.join(OPERATORS)}")
    return OPERATORS[operator](column_of(key) or JsonKey([key]), operator, value)


def _equal(asked: Field, operator: str, value: Any) -> Condition:  # noqa: ARG001
    if value is None:  # so it is in LlamaIndex; is_empty asks for what is missing
        return FALSE
    if isinstance(value, list | tuple):
        return asked.same_list([_scalar(one) for one in value])
    return asked.equal_to([_scalar(value)])


def _in(asked: Field, operator: str, value: Any) -> Condition:
    return asked.equal_to(_listed(operator, value))


def _ordered(asked: Field, operator: str, value: Any) -> Condition:
    return asked.ordered(cast("Order", operator), _scalar(value))


def _holds(asked: Field, operator: str, value: Any) -> Condition:
    if not isinstance(value, str):
        raise ValueError(f"the operator {operator!r} takes a text; given: {value!r:.100}")
    return asked.holds(value, ignore_case=operator == "text_match_insensitive")


def _contains(asked: Field, operator: str, value: Any) -> Condition:  # noqa: ARG001
    return asked.contains(_scalar(value))


def _any(asked: Field, operator: str, value: Any) -> Condition:
    return any_of([asked.contains(one) for one in _listed(operator, value)])


def _all(asked: Field, operator: str, value: Any) -> Condition:
    wanted = [asked.contains(one) for one in _listed(operator, value)]
    return all_of(wanted) if wanted else asked.missing().negated()


OPERATORS: dict[str, Callable[[Field, str, Any], Condition]] = {
    "==": _equal,
    "!=": lambda *given: _equal(*given).negated(),
    **dict.fromkeys(ORDERS, _ordered),
    "in": _in,
    "nin": lambda *given: _in(*given).negated(),
    "any": _any,
    "all": _all,
    "text_match": _holds,
    "text_match_insensitive": _holds,
    "contains": _contains,
    "is_empty": lambda asked, operator, value: asked.empty(),  # noqa: ARG005
}


def _listed(operator: str, value: Any) -> list[Scalar]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"the operator {operator!r} takes a list; given: {value!r:.100}")
    return [_scalar(one) for one in value]


def _scalar(value: Any) -> Scalar:
    if isinstance(value, str | int | float):
        return value
    raise ValueError(f"a filter compares with texts and numbers; given: {value!r:.100}")
