"""Batches: longest first, under the budget, every row once."""

from __future__ import annotations

import random

import pytest

from bmretriever_integrations.encoder.batches import longest_first, next_batch, tokens_of


@pytest.mark.parametrize("pads", [True, False])
def test_batches_hold_every_row_once_within_the_budget(pads):
    draw = random.Random(0)
    for budget in (1, 10, 100, 5000):
        lengths = [draw.randint(1, 60) for _ in range(300)]
        order = longest_first(lengths)
        assert [lengths[row] for row in order] == sorted(lengths, reverse=True)
        seen, start = [], 0
        while start < len(order):
            end = next_batch(order, lengths, start, budget, pads)
            batch = order[start:end]
            assert len(batch) == 1 or tokens_of([lengths[row] for row in batch], pads) <= budget
            if end < len(order):  # one row more would not have fitted
                assert tokens_of([lengths[row] for row in order[start : end + 1]], pads) > budget
            seen, start = seen + batch, end
        assert sorted(seen) == list(range(300))


def test_equal_lengths_keep_their_order():
    assert longest_first([3, 5, 3, 5]) == [1, 3, 0, 2]


def test_padding_costs():
    assert tokens_of([5, 3, 1], pads=True) == 15
    assert tokens_of([5, 3, 1], pads=False) == 9
