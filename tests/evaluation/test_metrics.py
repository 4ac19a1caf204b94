"""Metrics against numbers worked out by hand."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from bmretriever_integrations.evaluation.metrics import score
from bmretriever_integrations.evaluation.tasks import load_task


@pytest.fixture
def graded(write_task):
    """Twelve documents; q1 has grades 2 and 1 and one relevant document that nobody can find, q2 one, q3 one."""
    documents = {f"d{number:02}": "text" for number in range(12)}
    judgements = [
        ("q1", "d03", 2),
        ("q1", "d05", 1),
        ("q1", "gone", 1),
        ("q1", "d07", 0),
        ("q2", "d11", 1),
        ("q3", "d00", 1),
    ]
    return load_task(write_task("graded", documents, {"q1": "a", "q2": "b", "q3": "c"}, judgements))


def test_against_hand_computed_numbers(graded):
    rankings = [np.array([7, 5, 3]), np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11]), np.array([], np.int64)]
    values = score(graded, rankings)
    # q1: grade 1 at rank 2, grade 2 at rank 3, gains linear; the ideal order is 2, 1, 1
    ndcg = (1 / log2(3) + 2 / log2(4)) / (2 / log2(2) + 1 / log2(3) + 1 / log2(4))
    assert values["nDCG@10"] == pytest.approx({"q1": ndcg, "q2": 0, "q3": 0})
    assert values["Recall@100"] == pytest.approx({"q1": 2 / 3, "q2": 1, "q3": 0})
    assert values["MRR@10"] == pytest.approx({"q1": 1 / 2, "q2": 0, "q3": 0})  # q2 finds its document at rank 11


def test_the_order_given_is_the_order_scored_even_against_document_ids(graded):
    rankings = [np.array([3]), np.array([11]), np.array([11, 10, 0])]
    assert score(graded, rankings)["MRR@10"] == pytest.approx({"q1": 1, "q2": 1, "q3": 1 / 3})
