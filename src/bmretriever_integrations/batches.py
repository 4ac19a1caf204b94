"""Lengths -> batches, longest first, under a budget of padded tokens. Knows no torch."""

from __future__ import annotations

from collections.abc import Sequence


def next_batch(order: Sequence[int], lengths: Sequence[int], start: int, max_batch_tokens: int) -> int:
    """
    Find where the batch that begins at ``start`` ends.

    A padded batch costs its longest row times its rows; the longest comes first, so the cost is known at once. Longest first
    also means that a batch too large for the memory shows at once, not at the end of a long run.

    :param order: row numbers sorted by length, longest first.
    :param lengths: tokens of each row.
    :param start: position in ``order`` of the batch's first row.
    :param max_batch_tokens: budget; a row longer than it makes a batch of its own.
    :returns: the position after the batch's last row.
    """
    rows = max(1, max_batch_tokens // lengths[order[start]])
    return min(start + rows, len(order))


def longest_first(lengths: Sequence[int]) -> list[int]:
    """
    Sort rows by length.

    :param lengths: tokens of each row.
    :returns: row numbers, longest first; equal lengths keep their order, so a call repeats exactly.
    """
    return sorted(range(len(lengths)), key=lambda row: -lengths[row])
