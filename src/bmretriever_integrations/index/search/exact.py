"""The exact answer to many questions in one pass over the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.search.ranking import COLUMNS, Ranking, Wanted, inner_products, vectors_of

ROWS_AT_ONCE = 4096
ROUNDING = 2e-6
"""Error of a matrix product in float32, relative to the lengths of both vectors."""


def questions_at_once(count: int) -> int:
    """
    Return how many questions one pass should answer, so that it takes some tens of megabytes.

    :param count: the rows that are wanted for each question.
    """
    return max(1, min(512, 100_000 // count))


def best_rows(
    table: Any, questions: Vectors, wanted: Wanted, without: Sequence[str | None] | None = None
) -> list[Ranking]:
    """
    Find the rows with the largest inner products in one pass.

    :param table: the LanceDB table.
    :param questions: up to :func:`questions_at_once`. *Shape:* (questions, width) float32
    :param wanted: what is asked for.
    :param without: for each question, the id of a row that is no answer to it.
    :returns: a ranking for each question.
    """
    left_out = without or [None] * len(questions)
    found = [_Best(question, wanted, one) for question, one in zip(questions, left_out, strict=True)]
    scan = table.search().select([*COLUMNS, "vector"]).with_row_id(True)
    if wanted.condition is not None:
        scan = scan.where(wanted.condition)
    for batch in scan.to_batches(ROWS_AT_ONCE):
        vectors = vectors_of(batch, questions.shape[1])
        for best, scores in zip(found, questions @ vectors.T, strict=True):
            best.add(batch, vectors, scores)
    return [best.ranking for best in found]


class _Best:
    """The best rows so far of one question."""

    def __init__(self, question: Vectors, wanted: Wanted, without: str | None) -> None:
        self._question, self._wanted, self._without = question, wanted, without
        self._length = float(np.linalg.norm(question))
        self._longest = 0.0
        nothing = np.empty(0)
        self.ranking = Ranking(
            nothing.astype(object), nothing.astype(np.uint64), nothing, nothing.astype(np.bool_), np.empty((0, 0))
        )

    def add(self, batch: Any, vectors: Vectors, scores: NDArray[np.float32]) -> None:
        """Take in those of a batch's rows that can be among the best: they are multiplied again, more exactly."""
        floor = self.ranking.floor(self._wanted)
        if floor == -np.inf:
            floor = self._own_floor(batch, scores)
            self._longest = max(self._longest, float(np.linalg.norm(vectors, axis=1).max()))
        chosen = np.flatnonzero(scores >= floor - ROUNDING * self._length * self._longest)
        if len(chosen) == 0:
            return
        near = vectors[chosen]
        self._longest = max(self._longest, float(np.linalg.norm(near, axis=1).max()))
        more = Ranking.of(batch.select([*COLUMNS, "_rowid"]).take(chosen), inner_products(near, self._question))
        self.ranking = Ranking.joined([self.ranking, more]).settled(self._wanted, self._without)

    def _own_floor(self, batch: Any, scores: NDArray[np.float32]) -> float:
        """Return the score that a row of a batch needs to be among the best of this batch alone."""
        if self._wanted.hide_retracted:
            scores = scores[~np.array(batch.column("retracted").to_pylist(), np.bool_)]
        needed = self._wanted.count + (self._without is not None)
        return -np.inf if len(scores) < needed else float(np.partition(scores, -needed)[-needed])
