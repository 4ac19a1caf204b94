"""Rankings and judgements -> nDCG@10, Recall@100, MRR@10."""

from __future__ import annotations

from collections.abc import Sequence

import ir_measures

from bmretriever_integrations.evaluation.ranking import Positions
from bmretriever_integrations.evaluation.tasks import Task

# nDCG with linear gains and recall by trec_eval's code; reciprocal rank with a cut by MS MARCO's (trec_eval has no cut).
MEASURES = {"nDCG@10": ir_measures.nDCG @ 10, "Recall@100": ir_measures.R @ 100, "MRR@10": ir_measures.RR @ 10}
"""Name in the report -> measure. The first is the one that counts."""
MAIN_MEASURE = "nDCG@10"
DEPTH = 100
"""Documents that a ranking must hold for all of them."""


def score(task: Task, ranking: Sequence[Positions]) -> dict[str, dict[str, float]]:
    """
    Score a ranking.

    :param task: the task with its judgements.
    :param ranking: for each query of the task, in its order, positions of documents, best first.
    :returns: measure -> query id -> value between 0 and 1. A query that found nothing has 0.
    """
    # Metrics libraries sort by score and break ties by document id; scores made from ranks keep the order as it is.
    run = {
        query: {task.document_ids[position]: float(-rank) for rank, position in enumerate(found)}
        for query, found in zip(task.queries, ranking, strict=True)
    }
    values: dict[str, dict[str, float]] = {name: dict.fromkeys(task.queries, 0.0) for name in MEASURES}
    names = {measure: name for name, measure in MEASURES.items()}
    for found_value in ir_measures.iter_calc(list(MEASURES.values()), task.judgements, run):
        values[names[found_value.measure]][found_value.query_id] = float(found_value.value)
    return values
