"""Haystack's filter dictionaries as conditions, with the results of haystack.utils.filters.document_matches_filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, cast

from bmretriever_integrations.index.filters.conditions import FALSE, Condition, all_of, any_of
from bmretriever_integrations.index.filters.fields import ORDERS, Field, Order, Scalar, column_of
from bmretriever_integrations.index.filters.json_keys import JsonKey

LOGIC: dict[str, Callable[[Sequence[Condition]], Condition]] = {
    "AND": all_of,
    "OR": any_of,
    "NOT": lambda conditions: all_of(conditions).negated(),
}
EXAMPLE = '{"field": "meta.journal", "operator": "==", "value": "Nature"}'


def from_haystack(filters: Mapping[str, Any]) -> Condition:
    """
    Return the condition of a filter dictionary.

    :param filters: a comparison (``field``, ``operator``, ``value``) or a logical one (``operator``, ``conditions``).
    :raises ValueError: if a key is missing, or an operator or value is none that it can have.
    """
    if not isinstance(filters, Mapping):
        raise ValueError(f"a condition of Haystack's is a dictionary such as {EXAMPLE}; given: {filters!r:.100}")
    comparison = "field" in filters
    for key in ("operator", "value" if comparison else "conditions"):
        if key not in filters:
            raise ValueError(f"{key!r} key missing in {filters!r:.200}; a condition is a dictionary such as {EXAMPLE}")
    operator = filters["operator"]
    known = list(COMPARISONS) if comparison else list(LOGIC)
    if operator not in known:
        kind = "comparison" if comparison else "logical"
        raise ValueError(f"Unknown {kind} operator {operator!r:.50}. Valid operators are: {', '.join(known)}")
    if comparison:
        return COMPARISONS[operator](_field(filters["field"]), operator, filters["value"])
    conditions = filters["conditions"]
    if not isinstance(conditions, list | tuple):
        raise ValueError(f"'conditions' is a list of dictionaries; given: {conditions!r:.100}")
    return LOGIC[operator]([from_haystack(one) for one in conditions])


def _field(name: Any) -> Field:
    if not isinstance(name, str):
        raise ValueError(f"'field' is a name such as meta.journal; given: {name!r:.100}")
    if name in ("blob", "meta", "score", "embedding", "sparse_embedding"):
        raise ValueError(f"an index cannot be filtered by {name!r}; fields are id, content and meta.KEY")
    root, *path = name.split(".")
    if not path:  # Haystack takes a name that is no field of a Document for a key of meta
        return column_of("text" if name == "content" else name) or JsonKey([name])
    column = column_of(path[0]) if path[0] not in ("id", "text") else None
    if root != "meta" or (column is not None and len(path) > 1):
        return Nothing()
    return column or JsonKey(path)


class Nothing(Field):
    """A fact that no record has."""

    def missing(self) -> Condition:  # noqa: D102
        return FALSE.negated()


def _equal(asked: Field, operator: str, value: Any) -> Condition:  # noqa: ARG001
    if value is None:
        return asked.missing()
    if isinstance(value, list | tuple):
        return asked.same_list([_scalar(one) for one in value])
    moment = _moment(value)
    plain = [] if isinstance(value, datetime) else [asked.equal_to([_scalar(value)])]
    return any_of([*plain, *([] if moment is None else [asked.ordered_time("=", moment)])])


def _in(asked: Field, operator: str, value: Any) -> Condition:
    if not isinstance(value, list):
        raise ValueError(
            f"Filter value must be a `list` when using operator 'in' or 'not in', received type {type(value).__name__!r}"
        )
    plain = [one for one in value if isinstance(one, str | int | float) and _moment(one) is None]
    others = [one for one in value if not any(one is same for same in plain)]
    first = [asked.equal_to([_scalar(one) for one in plain])] if plain else []
    return any_of([*first, *(_equal(asked, operator, one) for one in others)])


def _ordered(asked: Field, operator: str, value: Any) -> Condition:
    order = cast("Order", operator)
    if value is None:
        return FALSE
    if isinstance(value, str | date):
        moment = _moment(value, partial=True)
        if moment is None:
            raise ValueError(
                "Can't compare strings using operators '>', '>=', '<', '<='. Strings are only comparable if they are ISO "
                f"formatted dates; given: {value!r:.100}"
            )
        return asked.ordered_time(order, moment)
    if not isinstance(value, int | float):
        raise ValueError(f"Filter value can't be of type {type(value).__name__} using operators '>', '>=', '<', '<='")
    return asked.ordered(order, value)


def _negated(plain: Callable[[Field, str, Any], Condition]) -> Callable[[Field, str, Any], Condition]:
    return lambda asked, operator, value: plain(asked, operator, value).negated()


COMPARISONS: dict[str, Callable[[Field, str, Any], Condition]] = {
    "==": _equal,
    "!=": _negated(_equal),
    **dict.fromkeys(ORDERS, _ordered),
    "in": _in,
    "not in": _negated(_in),
}


def _scalar(value: Any) -> Scalar:
    if isinstance(value, str | int | float):
        return value
    raise ValueError(f"a filter compares with texts, numbers, true, false, None and dates; given: {value!r:.100}")


def _moment(value: Any, partial: bool = False) -> datetime | None:
    """Return the point in time that a value means: a datetime, a whole day or, if ``partial``, also a year or a month."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if not isinstance(value, str) or (len(value) < 10 and not partial):
        return None
    if partial and len(value) in (4, 7):
        value = f"{value}-01-01"[:10]
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None
