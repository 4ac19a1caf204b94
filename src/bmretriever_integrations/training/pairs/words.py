"""Texts as words, and runs of words as 64-bit numbers, by which duplicates and evaluation texts are found."""

from __future__ import annotations

import re

import numpy as np
import xxhash
from numpy.typing import NDArray

WORD = re.compile(r"[^\W_]+")
FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that multiplying by it loses nothing: 2^64 divided by the golden ratio (Knuth, volume 3, 6.4)."""

Hashes = NDArray[np.uint64]


def words_of(text: str) -> list[str]:
    """
    Split a text into lower-case words without punctuation.

    :param text: any text.
    """
    return WORD.findall(text.lower())


def word_hashes(words: list[str]) -> Hashes:
    """
    Give each word a number.

    :param words: the words.
    :returns: one number a word. *Shape:* (n,) uint64.
    """
    return np.fromiter((xxhash.xxh3_64_intdigest(word.encode()) for word in words), dtype=np.uint64, count=len(words))


def run_hashes(words: Hashes, length: int) -> Hashes:
    """
    Give every run of consecutive words a number.

    :param words: the numbers of the words (:func:`word_hashes`). *Shape:* (n,) uint64.
    :param length: number of words of a run.
    :returns: one number a run. *Shape:* (n - length + 1,) uint64, or (0,) for a shorter text.
    """
    count = len(words) - length + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    numbers = np.zeros(count, dtype=np.uint64)
    for start in range(length):
        numbers = numbers * FACTOR + words[start : start + count]
    return numbers ^ (numbers >> np.uint64(31))


def text_hash(words: list[str]) -> int:
    """
    Give a whole text a number.

    :param words: the words of the text (:func:`words_of`).
    :returns: a whole number of 64 bits.
    """
    return xxhash.xxh3_64_intdigest(" ".join(words).encode())
