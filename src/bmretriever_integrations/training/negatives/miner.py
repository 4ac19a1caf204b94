"""The interface of a miner: it ranks passages for queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.training.negatives.pool import Query


@dataclass(frozen=True, slots=True)
class Found:
    """The best passages of some queries."""

    rows: NDArray[np.int32]
    """Row of each passage, best first; -1 where fewer are found. *Shape:* (queries, depth) int32"""
    scores: NDArray[np.float32]
    """Score of each passage; minus infinity where the row is -1. *Shape:* (queries, depth) float32"""
    positives: NDArray[np.float32]
    """Scores of all queries' positives, query after query. *Shape:* (positives,) float32"""

    def check(self, name: str) -> None:
        """
        Refuse scores that no rule can compare.

        :param name: name of the miner, for the error.
        :raises ValueError: if the score of a found passage or of a positive is NaN or infinite.
        """
        found, own = self.scores[self.rows >= 0], self.positives
        for scores, whose in ((found, "found passages"), (own, "positives")):
            wrong = int(np.count_nonzero(~np.isfinite(scores)))
            if wrong:
                raise ValueError(
                    f"the miner {name} gives {wrong} of {len(scores)} {whose} a score that is no finite number; negatives cannot "
                    "be chosen by it. Check its vectors for NaN, or take another number type or miner."
                )


class Miner(Protocol):
    """Ranks passages for queries; a higher score is better."""

    @property
    def name(self) -> str:
        """Name of the miner in the report."""
        ...

    def settings(self) -> dict[str, Any]:
        """Everything that decides the scores, as JSON values; the work folder's name is made of it."""
        ...

    def prepare(self, passages: Sequence[str], work: Path, progress: bool) -> None:
        """
        Get the passages ready.

        :param passages: all passages.
        :param work: folder for what a later run can use again; only these passages and settings use it.
        :param progress: whether to show a progress bar.
        """
        ...

    def search(self, queries: Sequence[Query], reach: Sequence[range], depth: int) -> Found:
        """
        Rank the passages in reach.

        :param queries: queries of one task.
        :param reach: rows of the passages they may find.
        :param depth: most passages for each query.
        """
        ...
