"""Batches: longest first, under the budget, every row once."""

from __future__ import annotations

import random

from bmretriever_integrations.batches import longest_first, next_batch


def test_batches_hold_every_row_once_within_the_budget():
    draw = random.Random(0)
    for budget in (1, 10, 100, 5000):
        lengths = [draw.randint(1, 60) for _ in range(300)]
        order = longest_first(lengths)
        assert [lengths[row] for row in order] == sorted(lengths, reverse=True)
        seen, start = [], 0
        while start < len(order):
            end = next_batch(order, lengths, start, budget)
            batch = order[start:end]
            assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= budget
            if end < len(order):  # one row more would not have fitted
                assert (len(batch) + 1) * lengths[batch[0]] > budget
            seen, start = seen + batch, end
        assert sorted(seen) == list(range(300))


def test_equal_lengths_keep_their_order():
    assert longest_first([3, 5, 3, 5]) == [1, 3, 0, 2]
