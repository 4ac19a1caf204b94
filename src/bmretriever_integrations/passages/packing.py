"""Pack pieces of a text, in their order, into as few passages as possible that are as even as possible."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence


def pack_evenly(costs: Sequence[int], capacity: int, overlap: int = 0) -> list[tuple[int, int]]:
    """
    Pack pieces into passages.

    :param costs: the tokens before each piece, and the tokens of all pieces last. *Shape:* (pieces + 1,)
    :param capacity: the most tokens of a passage. A piece that has more is a passage by itself.
    :param overlap: the tokens that the end of a passage may have to be repeated at the beginning of the next.
    :returns: the first piece of each passage and the one after its last. There are as few passages as possible, and of all ways
        to make as few, the largest passage is smallest.
    """
    passages = _pack(costs, capacity, overlap, len(costs))
    count = len(passages)
    low, high = -(-costs[-1] // max(1, count)), capacity
    while low < high:
        middle = (low + high) // 2
        tried = _pack(costs, middle, overlap, count)
        if len(tried) > count:
            low = middle + 1
        else:
            passages, high = tried, middle
    return passages


def _pack(costs: Sequence[int], capacity: int, overlap: int, most: int) -> list[tuple[int, int]]:
    """Fill one passage after the other, and give up after one more than ``most``."""
    passages: list[tuple[int, int]] = []
    begin, last = 0, len(costs) - 1
    while begin < last and len(passages) <= most:
        end = max(bisect_right(costs, costs[begin] + capacity) - 1, begin + 1)
        passages.append((begin, end))
        if end == last:
            break
        repeated = bisect_left(costs, costs[end] - overlap) if overlap else end
        with_next = bisect_left(costs, costs[end + 1] - capacity)  # so much of it that the next piece still fits
        begin = min(max(repeated, with_next, begin + 1), end)
    return passages
