"""What a miner is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.training.negatives.pool import Question


@dataclass(frozen=True, slots=True)
class Found:
    """The best passages of some questions."""

    rows: NDArray[np.int32]
    """Best first; -1 fills up where fewer are found. *Shape:* (questions, depth) int32"""
    scores: NDArray[np.float32]
    """Minus infinity where the row is -1. *Shape:* (questions, depth) float32"""
    positives: NDArray[np.float32]
    """Scores of the questions' positives, one question's after the other's. *Shape:* (positives,) float32"""


class Miner(Protocol):
    """Ranks passages for questions: higher scores are better."""

    @property
    def name(self) -> str:
        """For the report."""
        ...

    def settings(self) -> dict[str, Any]:
        """All that decides the scores, for the work folder's key; JSON values."""
        ...

    def prepare(self, passages: Sequence[str], work: Path, progress: bool) -> None:
        """
        Get the passages ready.

        :param passages: all of them.
        :param work: folder for what is worth keeping; this content and these settings alone use it.
        :param progress: show a bar.
        """
        ...

    def search(self, questions: Sequence[Question], reach: Sequence[range], depth: int) -> Found:
        """
        Rank the passages in reach.

        :param questions: questions of one task.
        :param reach: rows of the passages they may find.
        :param depth: how many for each question.
        """
        ...
