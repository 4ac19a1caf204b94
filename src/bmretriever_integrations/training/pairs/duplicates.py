"""Pairs that say what an earlier one says, in memory that ten million pairs leave small."""

from __future__ import annotations

from array import array

import numpy as np
import xxhash
from datasketch import MinHash

from bmretriever_integrations.training.pairs.words import run_hashes, text_hash, word_hashes

SHINGLE = 5
"""Words of a shingle (Lee et al. 2022, "Deduplicating Training Data Makes Language Models Better": 5)."""
BANDS, ROWS = 14, 9
"""Two texts of Jaccard similarity s meet with 1 - (1 - s^9)^14: 0.03 at s = 0.5, 0.87 at 0.8, 0.998 at 0.9."""
PARTS = 256
"""Tables of a set; one grows at a time, so growing needs little more memory than holding."""
FULL = 0.75
"""Share of a table's places in use at which it doubles."""


class CompactSet:
    """64-bit numbers at 8 bytes a place: open addressing in 256 tables."""

    def __init__(self) -> None:
        self._tables = [array("Q", bytes(8 * 16)) for _ in range(PARTS)]
        self._used = [0] * PARTS

    def add(self, number: int) -> bool:
        """
        Remember a number.

        :param number: 64 bits.
        :returns: True if it is new.
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
        """Memory of the tables, in bytes."""
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
    """Finds pairs that repeat an earlier one; the first stays."""

    def __init__(self, near: bool = True) -> None:
        """
        :param near: find near repeats too, by MinHash over the positive's runs of five words.
        """
        self._exact = CompactSet()
        self._bands = CompactSet() if near else None
        self._permutations = MinHash(num_perm=BANDS * ROWS, seed=1, scheme="legacy").permutations

    def kind(self, query: list[str], positive: list[str], by_query: bool) -> str | None:
        """
        Tell whether a pair repeats an earlier one, and remember it if not.

        :param query: its words (:func:`~.words.words_of`).
        :param positive: its words.
        :param by_query: two questions may share an answer, so near repeats must have the same query too (labelled pairs).
        :returns: ``"exact duplicate"``, ``"near duplicate"``, or None.
        """
        if not self._exact.add(text_hash([*query, "\0", *positive])):
            return "exact duplicate"
        if self._bands is None:
            return None
        bands = self._band_numbers(positive, text_hash(query) if by_query else 0)
        if any(band in self._bands for band in bands):
            return "near duplicate"
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
        """Memory of what is remembered, in bytes."""
        return self._exact.nbytes + (self._bands.nbytes if self._bands is not None else 0)
