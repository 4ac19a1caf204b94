"""Pairs that repeat an earlier one, found in little memory even among ten million pairs."""

from __future__ import annotations

from array import array

import numpy as np
import xxhash
from datasketch import MinHash

from bmretriever_integrations.training.pairs.words import run_hashes, text_hash, word_hashes

SHINGLE = 5
"""Number of words of a shingle (Lee et al. 2022, "Deduplicating Training Data Makes Language Models Better": 5)."""
BANDS, ROWS = 14, 9
"""Two texts of Jaccard similarity s share a band with chance 1 - (1 - s^9)^14: 0.03 at s = 0.5, 0.87 at 0.8, 0.998 at 0.9."""
PARTS = 256
"""Number of tables of a set; one table grows at a time, so growing needs little additional memory."""
FULL = 0.75
"""A table doubles when this share of its places is in use."""

EXACT, NEAR = "exact duplicate", "near duplicate"
"""Rules by which a pair is dropped."""


class CompactSet:
    """A set of 64-bit numbers that takes 8 bytes a place: 256 hash tables with open addressing."""

    def __init__(self) -> None:
        self._tables = [array("Q", bytes(8 * 16)) for _ in range(PARTS)]
        self._used = [0] * PARTS

    def add(self, number: int) -> bool:
        """
        Add a number.

        :param number: a whole number of 64 bits.
        :returns: whether it is new.
        """
        number = number or 1  # 0 marks an empty place
        part = number >> 56
        table = self._tables[part]
        if self._used[part] >= FULL * len(table):
            table = self._grow(part)
        new = _place(table, number)
        self._used[part] += new
        return new

    def __contains__(self, number: int) -> bool:
        number = number or 1
        table = self._tables[number >> 56]
        mask = len(table) - 1
        place = number & mask
        while table[place]:
            if table[place] == number:
                return True
            place = (place + 1) & mask
        return False

    def __len__(self) -> int:
        return sum(self._used)

    @property
    def nbytes(self) -> int:
        """Return the memory of the tables, in bytes."""
        return sum(8 * len(table) for table in self._tables)

    def _grow(self, part: int) -> array[int]:
        old = self._tables[part]
        table = array("Q", bytes(16 * len(old)))
        for number in old:
            if number:
                _place(table, number)
        self._tables[part] = table
        return table


def _place(table: array[int], number: int) -> bool:
    mask = len(table) - 1
    place = number & mask
    while table[place]:
        if table[place] == number:
            return False
        place = (place + 1) & mask
    table[place] = number
    return True


class Duplicates:
    """Finds pairs that repeat an earlier one; the earlier one stays."""

    def __init__(self, near: bool = True) -> None:
        """
        :param near: whether to find near duplicates too, by MinHash over the positive's runs of five words.
        """
        self._exact = CompactSet()
        self._bands = CompactSet() if near else None
        self._permutations = MinHash(num_perm=BANDS * ROWS, seed=1, scheme="legacy").permutations

    def kind(self, query: list[str], positive: list[str], by_query: bool) -> str | None:
        """
        Tell whether a pair repeats an earlier one, and remember it if not.

        :param query: words of its query (:func:`~.words.words_of`).
        :param positive: words of its positive.
        :param by_query: whether near duplicates must have the same query (labelled pairs: two questions may share an answer).
        :returns: ``"exact duplicate"``, ``"near duplicate"``, or None.
        """
        if not self._exact.add(text_hash([*query, "\0", *positive])):
            return EXACT
        if self._bands is None:
            return None
        bands = self._band_numbers(positive, text_hash(query) if by_query else 0)
        if any(band in self._bands for band in bands):
            return NEAR
        for band in bands:
            self._bands.add(band)
        return None

    def _band_numbers(self, words: list[str], group: int) -> list[int]:
        runs = run_hashes(word_hashes(words), SHINGLE)
        if not len(runs):
            return [xxhash.xxh3_64_intdigest(" ".join(words).encode(), seed=group)]
        sketch = MinHash(
            num_perm=BANDS * ROWS, seed=1, hashfunc=int, scheme="legacy", permutations=self._permutations
        )  # fixed scheme: the same pairs under every version of the library
        sketch.update_batch((runs & np.uint64(0xFFFFFFFF)).tolist())
        rows = np.ascontiguousarray(sketch.hashvalues, dtype=np.uint64).reshape(BANDS, ROWS)
        return [xxhash.xxh3_64_intdigest(row.tobytes(), seed=group ^ number) for number, row in enumerate(rows)]

    @property
    def nbytes(self) -> int:
        """Return the memory of all remembered pairs, in bytes."""
        return self._exact.nbytes + (self._bands.nbytes if self._bands is not None else 0)
