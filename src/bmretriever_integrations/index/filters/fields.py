"""What a filter may ask of a fact of a record, in SQL. The named facts have columns; all others are keys of one JSON column."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time
from typing import Literal

from bmretriever_integrations.corpus.metadata import NAMED
from bmretriever_integrations.index.filters.conditions import (
    FALSE,
    Condition,
    all_of,
    any_of,
    day,
    number,
    text,
    texts,
    unlike,
)
from bmretriever_integrations.index.schema import LISTS

Order = Literal["<", "<=", ">", ">="]
ORDERS: dict[Order, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Scalar = str | int | float | bool
ZONE = "([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
"""The time zone at the end of a point in time, as a regular expression."""


class Field:
    """A fact. Each method returns a condition, which no row meets whose value is of a type that cannot be compared so."""

    def missing(self) -> Condition:
        """The record has no such fact, or it is null, or a named list that is empty."""
        return FALSE

    def empty(self) -> Condition:
        """It is missing, or an empty text or list."""
        return any_of([self.missing(), self.equal_to([""]), self.same_list([])])

    def equal_to(self, values: Sequence[Scalar]) -> Condition:  # noqa: ARG002
        """It is one of the values, or a list with one of them in it. As in Python, 1, 1.0 and True are equal."""
        return FALSE

    def same_list(self, values: Sequence[Scalar]) -> Condition:  # noqa: ARG002
        """It is a list of just these values in this order."""
        return FALSE

    def holds(self, part: str, ignore_case: bool = False) -> Condition:  # noqa: ARG002
        """It is a text with this part in it."""
        return FALSE

    def contains(self, value: Scalar) -> Condition:
        """It is a list with the value in it, or a text with this part in it, or the value itself."""
        return any_of([self.equal_to([value]), *([self.holds(value)] if isinstance(value, str) else [])])

    def ordered(self, order: Order, value: float | str) -> Condition:  # noqa: ARG002
        """It is a number above or below this number, or a text before or after this text by its characters' numbers."""
        return FALSE

    def ordered_time(self, order: Literal["="] | Order, moment: datetime) -> Condition:  # noqa: ARG002
        """It is a day or a point in time, in ISO 8601, before or after this. One without a time zone has that of the other."""
        return FALSE


class TextColumn(Field):
    """A column of texts."""

    def __init__(self, column: str, *, total: bool = False) -> None:
        """
        :param column: its name.
        :param total: whether every row has one.
        """
        self._column, self._total = column, total

    def missing(self) -> Condition:  # noqa: D102
        return FALSE if self._total else Condition(f"{self._column} IS NULL", total=True)

    def equal_to(self, values: Sequence[Scalar]) -> Condition:  # noqa: D102
        wanted = only_texts(values)
        return Condition(f"{self._column} IN ({texts(wanted)})", self._total) if wanted else FALSE

    def holds(self, part: str, ignore_case: bool = False) -> Condition:  # noqa: D102
        return text_holds(self._column, part, ignore_case)

    def ordered(self, order: Order, value: float | str) -> Condition:  # noqa: D102
        if not isinstance(value, str):
            raise unlike(self._column, order, "a text", f"the number {value}")
        return Condition(f"{self._column} {order} {text(value)}")

    def ordered_time(self, order: Literal["="] | Order, moment: datetime) -> Condition:  # noqa: D102
        return time_ordered(self._column, order, moment)


class DateColumn(TextColumn):
    """The date of publication. Where points in time are compared, a month or a year counts as its first day."""

    def ordered_time(self, order: Literal["="] | Order, moment: datetime) -> Condition:  # noqa: D102
        whole = moment.time() == time()
        if order == "=":  # of whole days only: a year is no point in time
            return self.equal_to([moment.date().isoformat()]) if whole else FALSE
        if not whole:  # the day has begun: a later day is after it, and this day is before it
            order = {">=": ">", "<": "<="}.get(order, order)  # type: ignore[assignment]
        return Condition(f"first_day {order} {day(moment.date())}")


class ListColumn(Field):
    """A column of lists of texts; a record without any has an empty one."""

    def __init__(self, column: str) -> None:
        """
        :param column: its name.
        """
        self._column = column

    def missing(self) -> Condition:  # noqa: D102
        return Condition(f"array_empty({self._column})", total=True)

    def equal_to(self, values: Sequence[Scalar]) -> Condition:  # noqa: D102
        wanted = only_texts(values)
        return Condition(f"array_has_any({self._column}, [{texts(wanted)}])", total=True) if wanted else FALSE

    def same_list(self, values: Sequence[Scalar]) -> Condition:  # noqa: D102
        wanted = only_texts(values)
        if not wanted or len(wanted) < len(values):
            return FALSE
        return Condition(f"{self._column} = [{texts(wanted)}]", total=True)


class NumberColumn(Field):
    """A column of whole numbers."""

    def __init__(self, column: str) -> None:
        """
        :param column: its name.
        """
        self._column = column

    def missing(self) -> Condition:  # noqa: D102
        return Condition(f"{self._column} IS NULL", total=True)

    def equal_to(self, values: Sequence[Scalar]) -> Condition:  # noqa: D102
        wanted = [value for value in values if not isinstance(value, str)]
        either = ", ".join(map(number, wanted))
        return Condition(f"{self._beside(wanted)} IN ({either})") if wanted else FALSE

    def ordered(self, order: Order, value: float | str) -> Condition:  # noqa: D102
        if isinstance(value, str):
            raise unlike(self._column, order, "a number", "a text")
        return Condition(f"{self._beside([value])} {order} {number(value)}")

    def ordered_time(self, order: Literal["="] | Order, moment: datetime) -> Condition:  # noqa: ARG002, D102
        if order == "=":
            return FALSE
        raise unlike(self._column, order, "a number", "a date in quotes")

    def _beside(self, values: Sequence[float]) -> str:
        """The column for a comparison: as it is, and so with its index, where the values are of its type."""
        fit = all(isinstance(value, int) and abs(value) < 1 << 31 for value in values)
        return self._column if fit else f"cast({self._column} as double)"


class BoolColumn(Field):
    """A column of true and false; a record of which its source says nothing has false."""

    def __init__(self, column: str) -> None:
        """
        :param column: its name.
        """
        self._column = column

    def equal_to(self, values: Sequence[Scalar]) -> Condition:  # noqa: D102
        return self._where(lambda held: held in values)

    def ordered(self, order: Order, value: float | str) -> Condition:  # noqa: D102
        return FALSE if isinstance(value, str) else self._where(lambda held: ORDERS[order](held, value))

    def _where(self, meets: Callable[[bool], bool]) -> Condition:
        true = Condition(self._column, total=True)
        return any_of([*([true] if meets(True) else []), *([true.negated()] if meets(False) else [])])


def column_of(name: str) -> Field | None:
    """
    Return the field of a fact that has a column of its own, or None.

    :param name: one of :data:`~.schema.RECORD` but ``other``, or ``year``, which is that of the date.
    """
    if name in ("id", "title", "text"):
        return TextColumn(name, total=True)
    if name == "year":
        return NumberColumn(name)
    if name not in NAMED:
        return None
    if name in LISTS:
        return ListColumn(name)
    kinds: dict[str, Callable[[str], Field]] = {"version": NumberColumn, "retracted": BoolColumn, "date": DateColumn}
    return kinds.get(name, TextColumn)(name)


def text_holds(expression: str, part: str, ignore_case: bool) -> Condition:
    """
    Return the condition that a text has a part.

    :param expression: SQL that gives the text, or NULL.
    :param part: the part; no character of it has a meaning of its own.
    :param ignore_case: compare both in small letters.
    """
    if ignore_case:
        return Condition(f"contains(lower({expression}), {text(part.lower())})")
    return Condition(f"contains({expression}, {text(part)})")


def time_ordered(expression: str, order: Literal["="] | Order, moment: datetime) -> Condition:
    """
    Return the condition that a day or a point in time is before or after another.

    :param expression: SQL that gives a text or NULL. Texts that are no whole day or point in time in ISO 8601 do not meet it.
    :param order: the operator.
    :param moment: the other.
    """
    clock = f"try_cast(regexp_replace({expression}, '{ZONE}', '') as timestamp)"
    by_clock = Condition(f"{clock} {order} {_moment(moment)}")
    if moment.tzinfo is None:
        return by_clock
    zoned = Condition(f"regexp_like({expression}, 'T.*{ZONE}')")
    by_zone = Condition(f"try_cast({expression} as timestamp) {order} {_moment(moment.astimezone(UTC))}")
    return any_of([all_of([zoned, by_zone]), all_of([zoned.negated(), by_clock])])


def only_texts(values: Sequence[Scalar]) -> list[str]:
    """
    Return those values that are texts.

    :param values: any.
    """
    return [value for value in values if isinstance(value, str)]


def _moment(moment: datetime) -> str:
    return f"cast('{moment.replace(tzinfo=None).isoformat()}' as timestamp)"
