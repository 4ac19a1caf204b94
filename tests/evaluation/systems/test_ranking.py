"""The best documents, exactly: against a full sort, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest

from bmretriever_integrations.evaluation.systems import ranking
from bmretriever_integrations.evaluation.systems.ranking import TopDocuments, rank_by_dot_product


def nothing_left_out(queries):
    return np.full(queries, -1)


@pytest.mark.parametrize("block", [1, 7, 100])
@pytest.mark.parametrize("scores_at_once", [5, 1000])
def test_equals_a_full_stable_sort_with_many_ties(monkeypatch, block, scores_at_once):
    monkeypatch.setattr(ranking, "SCORES_AT_ONCE", scores_at_once)
    random = np.random.default_rng(0)
    documents = random.integers(-2, 3, (100, 3)).astype(np.float32)  # whole numbers: exact sums, many equal scores
    queries = random.integers(-2, 3, (5, 3)).astype(np.float32)
    blocks = [documents[start : start + block] for start in range(0, 100, block)]
    found = rank_by_dot_product(queries, blocks, 20, nothing_left_out(5))
    wanted = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :20]
    np.testing.assert_array_equal(found, wanted)


def test_real_vectors_with_scores_of_both_signs_and_any_size():
    random = np.random.default_rng(1)
    documents = (random.standard_normal((500, 16)) * 10.0 ** random.integers(-6, 6, (500, 1))).astype(np.float32)
    queries = random.standard_normal((8, 16)).astype(np.float32)
    found = rank_by_dot_product(queries, [documents], 500, nothing_left_out(8))
    wanted = np.argsort(-(queries @ documents.T), axis=1, kind="stable")
    np.testing.assert_array_equal(found, wanted)


def test_the_sign_of_zero_does_not_count():
    top = TopDocuments(3, nothing_left_out(1))
    top.add(np.array([[-0.0, 0.0, -0.0]], np.float32), 0)
    assert top.best()[0].tolist() == [0, 1, 2]


def test_left_out_and_not_matching_documents_are_not_found():
    top = TopDocuments(10, np.array([1, -1, 3]))
    for first in (0, 2):
        top.add(np.array([[2, 9], [-np.inf, 1], [1, 9]], np.float32), first)
    assert [found.tolist() for found in top.best()] == [[3, 0, 2], [1, 3], [1, 0, 2]]


def test_fewer_documents_than_asked_for():
    found = rank_by_dot_product(np.eye(2, dtype=np.float32), [np.eye(2, dtype=np.float32)], 100, nothing_left_out(2))
    assert [row.tolist() for row in found] == [[0, 1], [1, 0]]
