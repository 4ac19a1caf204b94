"""Cut a text into words, and count the tokens of each word once."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

PIECES = re.compile(r"\s{0,8}\S{1,40}|\s+")
"""A word with the white space before it. Words of more than 40 characters are several pieces."""

MOST_KEPT = 200_000
"""The number of words whose tokens are remembered."""

JOINERS = "\u200c\u200d\ufe0e\ufe0f"


class WordCounts:
    """Estimates how many tokens a text has up to each of its words."""

    def __init__(self, count: Callable[[str], int]) -> None:
        """
        :param count: counts the tokens of a text.
        """
        self._count = count
        # a word's tokens are those that it has behind another word, where no token for the beginning of a text is added
        self._alone = count("a")
        self._known: dict[str, int] = {}

    def __call__(self, text: str) -> tuple[list[int], list[int]]:
        """
        Count the tokens of a text word by word.

        :param text: the text.
        :returns: where each word begins, and the tokens before it; the length and the tokens of the whole text last.
            *Shape:* (words + 1,) each
        """
        words = PIECES.findall(text)
        known = self._known
        new = set(words).difference(known)
        if len(known) + len(new) > MOST_KEPT:
            known.clear()
            new = set(words)
        for word in new:
            known[word] = max(0, self._count("a" + word) - self._alone)
        begins = [0, *accumulate(map(len, words))]
        return begins, [0, *accumulate(map(known.__getitem__, words))]


def units(
    begins: Sequence[int], tokens: Sequence[int], sentences: Sequence[int], room: int
) -> tuple[list[int], list[int]]:
    """
    Choose the places at which a text may be cut: between its sentences, and inside a sentence that does not fit between words.

    :param begins: where each word begins, and the length of the text. *Shape:* (words + 1,)
    :param tokens: the tokens before each word, and those of the text. *Shape:* (words + 1,)
    :param sentences: where the sentences begin, without the first.
    :param room: the tokens that fit.
    :returns: the places, 0 and the length of the text among them, and the tokens before each.
    """
    places, costs = [0], [0]
    for end in [*sentences, begins[-1]]:
        first, last = bisect_right(begins, places[-1]), bisect_left(begins, end)
        cost = _interpolated(begins, tokens, last, end)
        if cost - costs[-1] > room:
            places += begins[first:last]
            costs += tokens[first:last]
        if end > places[-1]:
            places.append(end)
            costs.append(cost)
    return places, costs


def _interpolated(begins: Sequence[int], tokens: Sequence[int], next_word: int, place: int) -> int:
    """Estimate the tokens before a place that may lie inside of the word before ``next_word``, e.g. in Chinese."""
    missing = begins[next_word] - place
    if not missing:
        return tokens[next_word]
    length = begins[next_word] - begins[next_word - 1]
    return tokens[next_word] - (tokens[next_word] - tokens[next_word - 1]) * missing // length


def halved(text: str, begin: int, end: int, places: Sequence[int]) -> int:
    """
    Choose where a part of a text is cut in two.

    :param text: the text.
    :param begin: where the part begins.
    :param end: where it ends; it has at least two characters.
    :param places: places that are preferred, ascending.
    :returns: the preferred place that is next to the middle, else white space, else the middle, if possible not inside of
        what is seen as one character.
    """
    middle = (begin + end) // 2
    inside = places[bisect_right(places, begin) : bisect_right(places, end - 1)]
    if inside:
        return min(inside, key=lambda place: abs(place - middle))
    for place in _outwards(middle, begin, end):
        if text[place].isspace():
            return place
    for place in _outwards(middle, begin, end):
        if not unicodedata.combining(text[place]) and text[place] not in JOINERS and text[place - 1] not in JOINERS:
            return place
    return middle


def _outwards(middle: int, begin: int, end: int) -> Iterator[int]:
    """Yield the places between two places, from the middle outwards."""
    for distance in range(end - begin):
        for place in (middle - distance, middle + distance):
            if begin < place < end:
                yield place
