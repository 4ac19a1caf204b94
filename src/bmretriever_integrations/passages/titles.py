"""Shorten titles that would leave too little room for a text."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

WORD_ENDS = re.compile(r"(?<=\S)(?=\s|\Z)")


class ShortenedTitleWarning(UserWarning):
    """A title or other metadata was so long that passages are embedded with its beginning only."""


def shortened(title: str, room: int, count: Callable[[str], int]) -> str:
    """
    Keep as much of a title as fits.

    :param title: the title.
    :param room: the most tokens that it may have.
    :param count: counts the tokens of a title.
    :returns: the title itself if it fits; else its first words, or the beginning of its first word.
    """
    if count(title) <= room:
        return title
    for ends in ([found.start() for found in WORD_ENDS.finditer(title)], range(len(title) + 1)):
        if kept := _longest(title, ends, room, count):
            warnings.warn(
                "what is embedded before a text, its title or other metadata, may take half of a passage: "
                f"{kept[:60]!r}... was shortened from {count(title)} to {count(kept)} tokens",
                ShortenedTitleWarning,
                stacklevel=4,
            )
            return kept
    return ""


def _longest(title: str, ends: list[int] | range, room: int, count: Callable[[str], int]) -> str:
    low, high = 0, len(ends)  # the first end that does not fit lies between them
    while low < high:
        middle = (low + high) // 2
        if count(title[: ends[middle]]) <= room:
            low = middle + 1
        else:
            high = middle
    kept = title[: ends[low - 1]].strip() if low else ""
    return kept if count(kept) <= room else ""
