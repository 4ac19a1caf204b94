"""Rows of token ids -> batches, longest rows first, under a budget of tokens. Knows no torch."""

from __future__ import annotations

from collections.abc import Sequence


class Batches:
    """
    Rows cut into batches, one batch at a time, since the budget may turn out too large on the way.

    The longest rows come first: so the first row tells what a padded batch costs, and a batch that is too large for the device's
    memory shows at once, not at the end of a long run.
    """

    def __init__(self, rows: Sequence[Sequence[int]], shared: int, max_tokens: int, pads: bool) -> None:
        """
        :param rows: token ids of each row.
        :param shared: leading ids of each row that cost nothing, as they are reused.
        :param max_tokens: budget of a batch; a row longer than it makes a batch of its own.
        :param pads: whether rows are padded to the longest of their batch; else a batch costs the sum of its rows.
        """
        self.shared, self.max_tokens = shared, max_tokens
        self.order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
        """Row numbers, longest first; equal lengths keep their order, so that a call repeats exactly."""
        self.left = len(rows)
        """Rows that are in no batch yet."""
        self._rows, self._pads = [rows[row] for row in self.order], pads
        self._costs = [len(row) - shared for row in self._rows]
        self._last = range(0)

    def next(self) -> list[Sequence[int]]:
        """Cut the next batch off; only while some are :attr:`left`."""
        begin = len(self._rows) - self.left
        end = begin + 1
        if self._pads:
            end = min(begin + max(1, self.max_tokens // self._costs[begin]), len(self._rows))
        else:
            room = self.max_tokens - self._costs[begin]
            while end < len(self._rows) and self._costs[end] <= room:
                room -= self._costs[end]
                end += 1
        self._last, self.left = range(begin, end), len(self._rows) - end
        return self._rows[begin:end]

    def halve(self) -> None:
        """Take the last batch back, and let batches cost at most half of it from now on."""
        costs = [self._costs[row] for row in self._last]
        self.max_tokens = max(1, tokens_of(costs, self._pads) // 2)
        self.left += len(costs)


def tokens_of(lengths: Sequence[int], pads: bool) -> int:
    """
    Tell what a batch costs.

    :param lengths: tokens of each row.
    :param pads: whether rows are padded to the longest.
    """
    return len(lengths) * max(lengths) if pads else sum(lengths)
