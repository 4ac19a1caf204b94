"""Fuses what a question found by vectors and by words, and counts what is hidden."""

from __future__ import annotations

from dataclasses import replace

from bmretriever_integrations.index.search.fusion import fuse
from bmretriever_integrations.index.search.ranking import Ranking, Wanted


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
    first, parts = fuse(by_vector.rows, by_vector.scores, by_words.rows, by_words.scores)
    once = Ranking.joined([by_vector, by_words]).take(first)
    return replace(once, scores=parts.sum(axis=1), parts=parts)
