"""The two rankings of a question, by vectors and by words, made one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.index.ranking import Ranking, Wanted

CANDIDATES = 100
"""Rows of each side, or as many as are asked for if that is more."""


def fused(by_vector: Ranking, by_words: Ranking, wanted: Wanted) -> tuple[Ranking, int]:
    """
    Fuse the rows that are not hidden, and count the hidden ones that would stand among them.

    :param by_vector: sorted, with the hidden rows that stand among the others.
    :param by_words: the same.
    :param wanted: what is asked for.
    :returns: the fused ranking, and the number of hidden rows that would score at least as much as its last one.
    """
    sides = [side.take(side.shown(wanted)) for side in (by_vector, by_words)]
    shown = _fused(*sides).settled(wanted)
    if sum(map(len, sides)) == len(by_vector) + len(by_words):
        return shown, 0
    together = _fused(by_vector, by_words).settled(wanted)
    return shown, int(together.retracted.sum())


def _fused(by_vector: Ranking, by_words: Ranking) -> Ranking:
    rows = Ranking.joined([by_vector, by_words])
    halves = np.concatenate([_scaled(by_vector.scores), _scaled(by_words.scores)]) / 2
    _, first, same = np.unique(rows.rows, return_index=True, return_inverse=True)
    once = rows.take(first)
    return Ranking(once.ids, once.rows, np.bincount(same, halves, len(first)).astype(np.float64), once.retracted)


def _scaled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(scores) == 0 or scores.max() == scores.min():
        return np.ones(len(scores))
    scaled: NDArray[np.float64] = (scores - scores.min()) / (scores.max() - scores.min())
    return scaled
