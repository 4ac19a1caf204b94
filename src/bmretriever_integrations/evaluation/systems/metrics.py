"""Rankings and judgements -> nDCG, recall, reciprocal rank, average precision; similarities -> Spearman's correlation."""

from __future__ import annotations

from collections.abc import Sequence

import ir_measures
from scipy.stats import spearmanr  # type: ignore[import-untyped]

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.evaluation.systems.ranking import Positions
from bmretriever_integrations.evaluation.tasks.retrieval import Task
from bmretriever_integrations.evaluation.tasks.similarity import SimilarityTask

# nDCG with linear gains, recall and AP by trec_eval's code; reciprocal rank with a cut by MS MARCO's (trec_eval has no cut).
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
"""Name in a task's ``measures`` -> measure of a ranking."""
DEPTH = 100
"""How many documents a ranking must hold for all measures; more where a query has more candidates."""


def score(task: Task, ranking: Sequence[Positions]) -> dict[str, dict[str, float]]:
    """
    Score a ranking.

    :param task: the task with its judgements.
    :param ranking: for each query of the task, in its order, positions of documents, best first.
    :returns: measure -> query id -> value between 0 and 1, for the task's measures. A query that found nothing has 0.
    """
    # Metrics libraries sort by score and break ties by document id; scores made from ranks keep the order as it is.
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
    Compare the order of similarities with the order of people's scores.

    :param task: the task with its scores.
    :param similarities: *Shape:* (pairs,) of the two sentences of each pair.
    :returns: Spearman's rank correlation, -1 to 1; 0 if all similarities are equal.
    """
    if len(set(similarities.tolist())) == 1:  # no order, so no correlation is defined
        return 0.0
    return float(spearmanr(similarities, task.scores).statistic)
