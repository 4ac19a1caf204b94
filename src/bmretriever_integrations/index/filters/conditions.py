"""Conditions in LanceDB's SQL: what is quoted, how conditions are joined and negated, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

NESTED = 20
"""Most brackets inside each other: LanceDB's parser refuses more than about twice as many, and a search adds some of its own."""
TERMS = 5_000
"""Most conditions in one: LanceDB plans them by recursion, and a hundred thousand end the process."""


@dataclass(frozen=True)
class Condition:
    """A condition on a row."""

    sql: str
    total: bool = False
    """Whether it is true or false of every row. Else it may also be NULL, which counts as false."""
    terms: int = 1
    """How many comparisons are in it."""

    def negated(self) -> Condition:
        """Return what holds for exactly the rows for which this does not."""
        if self in (TRUE, FALSE):
            return TRUE if self == FALSE else FALSE
        # An index answers NOT, but not IS NOT TRUE, so this is many times faster where there is no NULL.
        return Condition(f"NOT ({self.sql})" if self.total else f"({self.sql}) IS NOT TRUE", True, self.terms)


TRUE = Condition("true", total=True)
FALSE = Condition("false", total=True)


def all_of(conditions: Iterable[Condition]) -> Condition:
    """
    Join conditions by AND.

    :param conditions: of none, the result holds for every row.
    """
    return _joined("AND", tuple(conditions), TRUE, FALSE)


def any_of(conditions: Iterable[Condition]) -> Condition:
    """
    Join conditions by OR.

    :param conditions: of none, the result holds for no row.
    """
    return _joined("OR", tuple(conditions), FALSE, TRUE)


def text(value: str) -> str:
    """
    Quote a text.

    :param value: any characters.
    :raises ValueError: if it holds a lone surrogate, which is no character.
    """
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{value!r:.100} holds a lone surrogate, which is no character; leave it out") from error
    return "'" + value.replace("'", "''") + "'"


def texts(values: Iterable[str]) -> str:
    """
    Quote texts for IN and for the functions of lists.

    :param values: at least one.
    """
    return ", ".join(map(text, values))


def number(value: float) -> str:
    """
    Write a number.

    :param value: an int, float or bool; a bool counts as 1 or 0, as in Python.
    :raises ValueError: if it is NaN or infinite.
    """
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise ValueError(f"a filter cannot compare with {value!r:.50}; give a finite number")
    whole = isinstance(value, int) and abs(value) < 1 << 53
    return str(int(value)) if whole else f"cast('{float(value)!r}' as double)"


def day(value: date) -> str:
    """
    Write a day.

    :param value: the day.
    """
    return f"date '{value.isoformat()}'"


def checked(sql: str) -> str:
    """
    Return a condition in SQL if it is one condition as a whole, so that joining it with others cannot change its meaning.

    :param sql: the condition.
    :raises ValueError: if it is empty, nested too deeply, or has a comment, a semicolon, or brackets or quotes that do not match.
    """
    if not sql.strip():
        raise ValueError("the condition in SQL is empty; give one such as \"journal = 'Nature'\", or none at all")
    bare = _unquoted(sql)
    found = next((sign for sign in (";", "--", "/*", "#", "\0") if sign in bare), None)
    if found is not None:
        raise ValueError(f"a condition in SQL may hold {found!r} in a quoted text only; found in {sql!r:.200}")
    depth = deepest = 0
    for sign in bare:
        depth += (sign in "([") - (sign in ")]")
        deepest = max(deepest, depth)
        if depth < 0:
            break
    if depth:
        raise ValueError(f"the brackets of the condition do not match: {sql!r:.200}")
    if deepest > NESTED:
        raise ValueError(
            f"the filter is nested {deepest} levels deep; at most {NESTED} are possible. Join them by fewer"
        )
    return sql


def _joined(word: str, conditions: tuple[Condition, ...], nothing: Condition, decisive: Condition) -> Condition:
    if decisive in conditions:
        return decisive
    kept = [condition for condition in conditions if condition != nothing]
    if len(kept) < 2:
        return kept[0] if kept else nothing
    terms = sum(condition.terms for condition in kept)
    if terms > TERMS:
        raise ValueError(
            f"the filter has {terms:,} conditions; at most {TERMS:,} are possible. Ask for several values at once: in"
        )
    return Condition(f" {word} ".join(f"({one.sql})" for one in kept), all(one.total for one in kept), terms)


def _unquoted(sql: str) -> str:
    """Leave out all that is quoted. A doubled quote inside needs no care: it ends one quoted part and begins the next."""
    bare: list[str] = []
    quote, begun = "", 0
    for place, sign in enumerate(sql):
        if quote:
            if sign == quote:
                quote, begun = "", place + 1
        elif sign in "'\"`":
            bare.append(sql[begun:place])
            quote = sign
    if quote:
        raise ValueError(f"a quote ({quote}) of the condition has no end: {sql!r:.200}")
    return " ".join([*bare, sql[begun:]])


def unlike(column: str, order: str, kind: str, given: str) -> ValueError:
    """
    Make the error for a comparison that no record meets, which would look like an answer without hits.

    :param column: the column that is compared.
    :param order: the operator.
    :param kind: what the column holds.
    :param given: what it is compared with.
    """
    advice = "; write the date in quotes, or ask for year" if column == "date" else ""
    return ValueError(f"{column} is {kind}, and {order} cannot compare it with {given}{advice}")
