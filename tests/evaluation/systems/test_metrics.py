"""Metrics against numbers worked out by hand, and against plain formulas on many random rankings."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from bmretriever_integrations.evaluation.systems.metrics import MEASURES, score
from bmretriever_integrations.evaluation.tasks.retrieval import load_task


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


def plain(measure, ranked, grades):
    """A measure by its textbook formula: the ranking's grades, best document first; unjudged documents have 0."""
    name, _, cut = measure.partition("@")
    got = [grades.get(document, 0) for document in ranked][: int(cut or len(ranked))]
    ideal = sorted(grades.values(), reverse=True)[: int(cut or len(grades))]
    relevant = sum(grade > 0 for grade in grades.values())
    if relevant == 0:
        return 0.0
    if name == "nDCG":
        gain, best = (sum(g / log2(rank) for rank, g in enumerate(of, 2)) for of in (got, ideal))
        return gain / best
    if name == "Recall":
        return sum(g > 0 for g in got) / relevant
    hits = [rank for rank, g in enumerate(got, 1) if g > 0]
    if name == "MRR":
        return 1 / hits[0] if hits else 0.0
    return sum(n / rank for n, rank in enumerate(hits, 1)) / relevant  # MAP


def test_every_measure_against_its_plain_formula(write_task):
    """Graded and negative judgements, unjudged documents, queries with no relevant one, rankings of every length."""
    random = np.random.default_rng(3)
    documents = {f"{n}": "text" for n in range(60)}
    judged = [
        (f"q{q}", str(d), int(random.integers(-1, 3) if q else 0))
        for q in range(20)
        for d in random.choice(60, random.integers(1, 30), replace=False)
    ]
    folder = write_task("random", documents, {f"q{q}": "x" for q in range(20)}, judged)
    task = load_task(folder, measures=tuple(MEASURES))
    rankings = [random.permutation(60)[: random.integers(0, 61)] for _ in range(20)]
    values = score(task, rankings)
    assert any(grade < 0 for *_, grade in judged)
    for measure in MEASURES:
        for (query, grades), ranked in zip(task.judgements.items(), rankings, strict=True):
            found = [task.document_ids[position] for position in ranked]
            assert values[measure][query] == pytest.approx(plain(measure, found, grades), abs=1e-6), (measure, query)
