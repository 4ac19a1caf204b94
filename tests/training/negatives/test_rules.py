"""Filters and draw: each setting changes what it says, nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from bmretriever_integrations.training.negatives.rules import Ranking, Rules, choose
from bmretriever_integrations.training.yaml_settings import fill

POSITIVES = {1: 0.8, 4: 0.5}


def ranking(scores=(0.9, 0.8, 0.7, 0.6, 0.5, 0.46, 0.4, 0.3), positives=POSITIVES, query_row=-1):
    rows = np.append(np.arange(len(scores)), -1).astype(np.int32)
    return Ranking(rows, np.append(scores, -np.inf).astype(np.float32), dict(positives), query_row)


def chosen(**settings):
    query_row = settings.pop("query_row", -1)
    rules = Rules(**{"negatives": 3, "depth": 9, "sample": "hardest", **settings})
    return choose(ranking(query_row=query_row), 1, "id", rules)


def test_hardest_are_the_best_that_are_no_positive():
    choice = chosen()
    assert choice.rows == [0, 2, 3]
    assert choice.scores == pytest.approx([0.9, 0.7, 0.6])
    assert (choice.candidates, dict(choice.dropped)) == (6, {"positive": 2})


@pytest.mark.parametrize(
    ("settings", "rows", "reason", "dropped"),
    [
        ({"skip": 2}, [3, 5, 6], "skip", 2),
        ({"max_score": 0.6}, [3, 5, 6], "max_score", 2),
        ({"absolute_margin": 0.1}, [6, 7], "absolute_margin", 4),  # at most 0.5 - 0.1
        ({"relative_margin": 0.05}, [5, 6, 7], "relative_margin", 3),  # at most 0.5 * 0.95 = 0.475
        ({"relative_margin": 0.05, "margin_from": "own"}, [2, 3, 5], "relative_margin", 1),  # at most 0.8 * 0.95
        ({"query_row": 0}, [2, 3, 5], "equals query", 1),
    ],
)
def test_each_filter_drops_what_it_says(settings, rows, reason, dropped):
    choice = chosen(**settings)
    assert choice.rows == rows
    assert choice.dropped == {"positive": 2, reason: dropped}


def test_every_passage_is_a_candidate_or_dropped_once():
    choice = chosen(skip=1, max_score=0.65, relative_margin=0.1)
    assert choice.candidates + choice.dropped.total() == 8
    assert choice.dropped == {"positive": 2, "skip": 1, "max_score": 1, "relative_margin": 2}


def test_relative_margin_lies_below_a_negative_positive_score():
    """Dot products may be negative; 5 % of the magnitude lies below all the same."""
    found = ranking((-0.9, -1.0, -1.02, -1.1), {1: -1.0})
    rules = Rules(negatives=2, relative_margin=0.05, sample="hardest")
    assert choose(found, 1, "id", rules).rows == [3]


def test_random_draws_from_all_candidates_by_seed_and_pair():
    found = ranking()

    def draw(seed, pair_id):
        return choose(found, 1, pair_id, Rules(negatives=2, seed=seed))

    assert draw(0, "a") == draw(0, "a")
    assert len({tuple(draw(0, str(n)).rows) for n in range(50)}) > 10
    assert len({tuple(draw(n, "a").rows) for n in range(50)}) > 10
    drawn = [draw(0, str(n)) for n in range(600)]
    counts = np.bincount([row for choice in drawn for row in choice.rows], minlength=8)
    assert counts[[1, 4]].tolist() == [0, 0]
    assert all(150 < counts[row] < 250 for row in (0, 2, 3, 5, 6, 7)), counts  # 200 expected
    assert all(choice.scores == sorted(choice.scores, reverse=True) for choice in drawn)


def test_too_few_candidates_give_what_there_is():
    assert chosen(max_score=0.35).rows == [7]
    assert chosen(max_score=0.1).rows == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"negatives": 0}, "negatives must be greater than 0, got 0"),
        ({"depth": 2.5}, "depth must be a valid integer, got 2.5"),
        ({"skip": -1}, "skip must be greater than or equal to 0, got -1"),
        ({"relative_margin": -0.1}, "relative_margin must be greater than or equal to 0, got -0.1"),
        ({"absolute_margin": float("nan")}, "absolute_margin must be a finite number, got nan"),
        ({"max_score": float("inf")}, "max_score must be a finite number, got inf"),
        ({"sample": "best"}, "sample must be 'random' or 'hardest', got 'best'"),
        ({"margin_from": "mean"}, "margin_from must be 'lowest' or 'own', got 'mean'"),
        ({"negatives": 3, "depth": 10, "skip": 8}, "3 negatives cannot come from depth 10 less the first 8"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fill(Rules, settings)
    with pytest.raises(ValueError, match=next(iter(settings))):
        Rules(**settings)


def test_the_default_is_the_papers_rule():
    rules = Rules()
    assert (rules.depth, rules.sample, rules.skip) == (100, "random", 0)
    assert rules.absolute_margin is rules.relative_margin is rules.max_score is None
