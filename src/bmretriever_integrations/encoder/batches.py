"""Cut rows of token ids into batches under a token budget, the longest rows first. This module does not import torch."""

from __future__ import annotations

from collections.abc import Sequence


class Batches:
    """
    Cuts rows into batches, one batch at a time, because the token budget may become smaller after any batch.

    The longest rows come first. So the first row decides the cost of a padded batch, and a budget that is too large for the
    device's memory is noticed at the first batch and not at the end of a long run.
    """

    def __init__(self, rows: Sequence[Sequence[int]], shared: int, max_tokens: int, pads: bool) -> None:
        """
        :param rows: token ids of each row.
        :param shared: the number of leading ids of each row that cost nothing, because their keys and values are reused.
        :param max_tokens: the token budget of a batch; a longer row gets a batch of its own.
        :param pads: whether rows are padded to the longest row of their batch; else a batch costs the sum of its rows' tokens.
        """
        self.shared, self.max_tokens = shared, max_tokens
        self.order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
        """Row numbers, longest row first; rows of equal length keep their order, so that equal calls make equal batches."""
        self.left = len(rows)
        """The number of rows that are not in a batch yet."""
        self._rows, self._pads = [rows[row] for row in self.order], pads
        self._costs = [len(row) - shared for row in self._rows]
        self._last = range(0)

    def next(self) -> list[Sequence[int]]:
        """Return the rows of the next batch. Call it only while rows are :attr:`left`."""
        begin = len(self._rows) - self.left
        end = begin + 1
        if self._pads:
            end = min(begin + max(1, self.max_tokens // self._costs[begin]), len(self._rows))
        else:
            unused = self.max_tokens - self._costs[begin]
            while end < len(self._rows) and self._costs[end] <= unused:
                unused -= self._costs[end]
                end += 1
        self._last, self.left = range(begin, end), len(self._rows) - end
        return self._rows[begin:end]

    def halve(self) -> None:
        """Put the last batch's rows back, and limit later batches to half of its tokens."""
        costs = [self._costs[row] for row in self._last]
        self.max_tokens = max(1, tokens_of(costs, self._pads) // 2)
        self.left += len(costs)


def tokens_of(lengths: Sequence[int], pads: bool) -> int:
    """
    Count the tokens of a batch, padding included.

    :param lengths: tokens of each row.
    :param pads: whether rows are padded to the longest row.
    """
    return len(lengths) * max(lengths) if pads else sum(lengths)
