"""Batches: longest first, under the budget, every row once."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from bmretriever_integrations.encoder.batches import Batches, tokens_of


@pytest.mark.parametrize("pads", [True, False])
@pytest.mark.parametrize("shared", [0, 3])
def test_batches_hold_every_row_once_within_the_budget(pads, shared):
    draw = random.Random(0)
    for budget in (1, 10, 100, 5000):
        rows = [[number] * draw.randint(shared + 1, 60) for number in range(300)]
        batches = Batches(rows, shared, budget, pads)
        cut = []
        while batches.left:
            cut.append(batches.next())
        ordered = [row for batch in cut for row in batch]
        assert [len(row) for row in ordered] == sorted(map(len, rows), reverse=True)
        assert ordered == [rows[row] for row in batches.order]
        assert sorted(batches.order) == list(range(300))
        for batch, following in pairwise(cut):
            costs = [len(row) - shared for row in batch]
            assert len(batch) == 1 or tokens_of(costs, pads) <= budget
            assert tokens_of([*costs, len(following[0]) - shared], pads) > budget  # one row more would not have fitted


def test_equal_lengths_keep_their_order():
    assert Batches([[0] * length for length in (3, 5, 3, 5)], 0, 10, pads=True).order == [1, 3, 0, 2]


def test_a_batch_that_was_too_large_is_cut_anew():
    batches = Batches([[0] * 4] * 10, 0, 40, pads=False)
    assert len(batches.next()) == 10
    batches.halve()
    assert (batches.max_tokens, batches.left) == (20, 10)
    assert [len(batches.next()), len(batches.next()), batches.left] == [5, 5, 0]


def test_padding_costs():
    assert tokens_of([5, 3, 1], pads=True) == 15
    assert tokens_of([5, 3, 1], pads=False) == 9
