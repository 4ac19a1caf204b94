"""What a filter may ask of the further keys of JSON lines. Each key may hold a value of another type in every row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

from bmretriever_integrations.index.filters.conditions import FALSE, Condition, all_of, any_of, number, text, texts
from bmretriever_integrations.index.filters.fields import (
    ORDERS,
    Field,
    Order,
    Scalar,
    only_texts,
    text_holds,
    time_ordered,
)
from bmretriever_integrations.index.filters.labels import key_label


class JsonKey(Field):
    """
    A key of the column ``other``.

    LanceDB's json_get_int and the like raise an error at the first row with a value of another type, so values are compared as
    the JSON text that json_extract gives: ``3``, ``"3"``, ``true`` and ``[3]`` are four texts. That takes most of a second for a
    million rows, so where a value is asked for, the index on labels first finds the few rows that may have it.
    """

    def __init__(self, path: Sequence[str]) -> None:
        """
        :param path: the key, and the keys of the objects inside it.
        """
        self._path = list(path)
        stored = "other"
        for key in path:
            stored = f"json_get({stored}, {text(key)})"
        self._stored = stored
        self._json = f"json_extract({stored}, '$')"

    def missing(self) -> Condition:  # noqa: D102
        return Condition(f"coalesce({self._json}, 'null') = 'null'", total=True)

    def empty(self) -> Condition:  # noqa: D102
        return Condition(f"coalesce({self._json}, 'null') IN ('null', '\"\"', '[]')", total=True)

    def equal_to(self, values: Sequence[Scalar]) -> Condition:  # noqa: D102
        wanted = [_json(value) for value in only_texts(values)]
        numbers = [value for value in values if not isinstance(value, str)]
        either = [Condition(f"{self._json} IN ({texts(wanted)})")] if wanted else []
        either += [Condition(f"json_array_contains({self._stored}, '$', {text(value)})") for value in wanted]
        equal = any_of([*either, *map(self._equal_to_number, numbers)])
        labels = texts(sorted({key_label(self._path, value) for value in values})) if values else ""
        return all_of([Condition(f"array_has_any(labels, [{labels}])", total=True), equal]) if values else FALSE

    def same_list(self, values: Sequence[Scalar]) -> Condition:  # noqa: D102
        return Condition(f"{self._json} = {text(_json(list(values)))}")

    def holds(self, part: str, ignore_case: bool = False) -> Condition:  # noqa: D102
        return all_of([self._is_text(), text_holds(self._text(), part, ignore_case)])

    def ordered(self, order: Order, value: float | str) -> Condition:  # noqa: D102
        if isinstance(value, str):
            return all_of([self._is_text(), Condition(f"{self._text()} {order} {text(value)}")])
        by_number = Condition(f"try_cast({self._json} as double) {order} {number(value)}")
        return any_of([by_number, *(self._is(held) for held in (True, False) if ORDERS[order](held, value))])

    def ordered_time(self, order: Literal["="] | Order, moment: datetime) -> Condition:  # noqa: D102
        return all_of([self._is_text(), time_ordered(f"btrim({self._json}, '\"')", order, moment)])

    def _equal_to_number(self, value: float) -> Condition:
        number_itself = Condition(f"try_cast({self._json} as double) = {number(value)}")
        truth = [held for held in (True, False) if held == value]
        in_list = any_of([*self._number_in_list(value), *(self._in_list(f"@ == {_json(held)}") for held in truth)])
        is_list = Condition(f"left({self._json}, 1) = '['")
        return any_of([number_itself, *map(self._is, truth), all_of([is_list, in_list])])

    def _number_in_list(self, value: float) -> list[Condition]:
        if value == int(value):
            return [self._in_list(f"@ == {int(value)}")]
        # LanceDB's paths know no fractions. What is compared here is how a number is written, so "0.5" counts as 0.5.
        written = {repr(value).replace("e-0", "e-"), f"{Decimal(repr(value)):f}"}
        return [Condition(f"json_array_contains({self._stored}, '$', '{one}')") for one in sorted(written)]

    def _in_list(self, entry: str) -> Condition:
        return Condition(f"json_exists({self._stored}, '$[*]?({entry})')")

    def _is(self, held: bool) -> Condition:
        return Condition(f"{self._json} = '{_json(held)}'")

    def _is_text(self) -> Condition:
        return Condition(f"left({self._json}, 1) = '\"'")

    def _text(self) -> str:
        """SQL that gives the value if it is a text. Of another value it gives anything."""
        return f"try_cast(decode(right(encode({self._stored}, 'hex'), -16), 'hex') as string)"


def _json(value: object) -> str:
    """Write a value as LanceDB's json_extract does."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
