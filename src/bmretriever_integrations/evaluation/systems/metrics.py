"""Compute nDCG, recall, reciprocal rank and average precision of rankings, and Spearman's correlation of similarities."""

from __future__ import annotations

from collections.abc import Sequence

import ir_measures
from scipy.stats import spearmanr  # type: ignore[import-untyped]

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.evaluation.systems.ranking import Positions
from bmretriever_integrations.evaluation.tasks.retrieval import Task
from bmretriever_integrations.evaluation.tasks.similarity import SimilarityTask

# ir-measures computes nDCG with linear gains, recall and AP with trec_eval's code, and reciprocal rank with MS MARCO's code,
# because trec_eval cannot cut the ranking for it.
MEASURES = {
    "nDCG@10": ir_measures.nDCG @ 10,
    "nDCG@20": ir_measures.nDCG @ 20,
    "nDCG": ir_measures.nDCG,
    "Recall@1": ir_measures.R @ 1,
    "Recall@5": ir_measures.R @ 5,
    "Recall@20": ir_measures.R @ 20,
    "Recall@100": ir_measures.R @ 100,
    "MRR@5": ir_measures.RR @ 5,
    "MRR@10": ir_measures.RR @ 10,
    "MAP": ir_measures.AP,
}
"""Maps each name in a task's ``measures`` to the measure in ir-measures."""
DEPTH = 100
"""The number of documents that a ranking needs for all measures. It must be longer where a query has more candidates."""


def score(task: Task, ranking: Sequence[Positions]) -> dict[str, dict[str, float]]:
    """
    Score a ranking.

    :param task: the task with its judgements.
    :param ranking: the positions of the documents for each query, best first; the queries are in the task's order.
    :returns: a dict of the task's measures, each with the value of every query id, 0 to 1. A query without hits has 0.
    """
    # ir-measures sorts by score and breaks ties by document id, so the ranks are used as scores to keep the order.
    run = {
        query: {task.document_ids[position]: float(-rank) for rank, position in enumerate(found)}
        for query, found in zip(task.queries, ranking, strict=True)
    }
    values: dict[str, dict[str, float]] = {name: dict.fromkeys(task.queries, 0.0) for name in task.measures}
    names = {MEASURES[name]: name for name in task.measures}
    for found_value in ir_measures.iter_calc(list(names), task.judgements, run):
        values[names[found_value.measure]][found_value.query_id] = float(found_value.value)
    return values


def correlation(task: SimilarityTask, similarities: Vectors) -> float:
    """
    Compare the order of similarities with the order of the human scores.

    :param task: the task with its scores.
    :param similarities: the similarity of each pair's sentences. *Shape:* (pairs,)
    :returns: Spearman's rank correlation, -1 to 1; 0 if all similarities are equal.
    """
    if len(set(similarities.tolist())) == 1:  # without an order, the correlation is not defined
        return 0.0
    return float(spearmanr(similarities, task.scores).statistic)
