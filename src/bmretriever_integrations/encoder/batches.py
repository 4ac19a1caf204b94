"""Lengths -> batches, longest first, under a budget of tokens. Knows no torch."""

from __future__ import annotations

from collections.abc import Sequence


def next_batch(order: Sequence[int], lengths: Sequence[int], start: int, max_batch_tokens: int, pads: bool) -> int:
    """
    Find where the batch that begins at ``start`` ends.

    The longest row comes first, so the cost of a padded batch is known at once. Longest first also means that a batch too large
    for the memory shows at once, not at the end of a long run.

    :param order: row numbers sorted by length, longest first.
    :param lengths: tokens of each row.
    :param start: position in ``order`` of the batch's first row.
    :param max_batch_tokens: budget; a row longer than it makes a batch of its own.
    :param pads: whether rows are padded to the longest; else a batch costs the sum of its rows.
    :returns: the position after the batch's last row.
    """
    if pads:
        return min(start + max(1, max_batch_tokens // lengths[order[start]]), len(order))
    end, left = start, max_batch_tokens
    while end < len(order) and (end == start or lengths[order[end]] <= left):
        left -= lengths[order[end]]
        end += 1
    return end


def longest_first(lengths: Sequence[int]) -> list[int]:
    """
    Sort rows by length.

    :param lengths: tokens of each row.
    :returns: row numbers, longest first; equal lengths keep their order, so a call repeats exactly.
    """
    return sorted(range(len(lengths)), key=lambda row: -lengths[row])


def tokens_of(lengths: Sequence[int], pads: bool) -> int:
    """
    Tell what a batch costs.

    :param lengths: tokens of each row.
    :param pads: whether rows are padded to the longest.
    """
    return len(lengths) * max(lengths) if pads else sum(lengths)
