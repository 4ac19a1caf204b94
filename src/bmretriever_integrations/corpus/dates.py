"""Dates of publications in ISO 8601, as precise as they are known, and never more."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
YEAR = re.compile(r"[0-9]{4}")
NUMBER = re.compile(r"[0-9]{1,2}")
IN_WORDS = re.compile(r"(?<![0-9])([0-9]{4})(?![0-9])(?:[ -]+([A-Za-z]{3,9})\b\.?(?: +([0-9]{1,2})(?![0-9]))?)?")
"""The first day of what MedlineDate says: ``1998 Dec-1999 Jan``, ``2000 Nov 28-Dec 4``, ``1976-1977 Winter``, ``2000 Spring``."""
IN_NUMBERS = re.compile(r"([0-9]{4})(?:([-/.])([0-9]{1,2})(?:\2([0-9]{1,2}))?)?(?:[T ][0-9:.+Z-]*)?")
COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")


def iso_date(year: str, month: str = "", day: str = "") -> str | None:
    """
    Put the parts of a date together. What follows a part that is missing or impossible is left away.

    :param year: four digits.
    :param month: a number, or an English name or its first letters. Of a span, such as ``Jan-Feb``, the first month counts; a
        season is no month.
    :param day: a number.
    :returns: ``2015``, ``2015-03`` or ``2015-03-14``; None without a year.
    """
    if YEAR.fullmatch(year) is None or year == "0000":
        return None
    of_year = _month(month)
    if of_year is None:
        return year
    if NUMBER.fullmatch(day):
        try:
            return date(int(year), of_year, int(day)).isoformat()
        except ValueError:  # 30 February
            pass
    return f"{year}-{of_year:02}"


@lru_cache(maxsize=1024)
def _month(text: str) -> int | None:
    first = re.split(r"[-/\u2013]", text, maxsplit=1)[0].strip().rstrip(".").lower()
    if NUMBER.fullmatch(first):
        return int(first) if 1 <= int(first) <= 12 else None
    if len(first) < 3:
        return None
    return next((number for number, name in enumerate(MONTHS, 1) if name.startswith(first)), None)


def first_date(text: str) -> str | None:
    """
    Give the first date of a text such as NLM's MedlineDate.

    :param text: e.g. ``1998 Dec-1999 Jan``.
    :returns: e.g. ``1998-12``; None if no year is in it.
    """
    found = IN_WORDS.search(text)
    return None if found is None else iso_date(found[1], found[2] or "", found[3] or "")


def known_date(value: object) -> str | None:
    """
    Read a date that somebody wrote into a JSON line.

    :param value: a year, e.g. 2015; or a text such as ``2015``, ``2015-03-14``, ``2015/3/14``, ``20150314``,
        ``2015-03-14T12:00:00Z`` or ``2015 Mar 14``.
    :returns: the date; None if it is anything else, or impossible.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    found = COMPACT.fullmatch(text)
    parts = [] if found is None else list(found.groups())
    if not parts and (found := IN_NUMBERS.fullmatch(text)) is not None:
        parts = [part for part in (found[1], found[3], found[4]) if part]
    if not parts and (found := IN_WORDS.fullmatch(text)) is not None:
        parts = [part for part in found.groups() if part]
    read = iso_date(*parts) if parts else None
    return read if read is not None and read.count("-") == len(parts) - 1 else None
