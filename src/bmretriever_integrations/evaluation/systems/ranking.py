"""Vectors -> the best documents of each query, exactly, block by block."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.encoder.vectors import Vectors

Positions = NDArray[np.int64]

SCORES_AT_ONCE = 4_194_304
"""How many scores are in memory at a time: 16 MB of float32, and 32 MB for each copy of their sort keys."""

_LEFT_OUT = np.iinfo(np.int64).min


class TopDocuments:
    """
    The best documents so far, while scores come in blocks of documents.

    Score and position share one 64-bit key, the score's bits above, so that no two keys are equal: among equal scores the
    document that comes first in the corpus is the better one, wherever the blocks are cut.
    """

    def __init__(self, depth: int, left_out: Positions, candidates: Positions | None = None) -> None:
        """
        :param depth: how many documents to keep for a query.
        :param left_out: *Shape:* (queries,) position of a document that a query must not find, or -1.
        :param candidates: *Shape:* (2, pairs) row of a query and position of a document that it may find, ordered by position;
            None lets every query find every document.
        """
        self._depth = depth
        self._left_out = left_out
        self._candidates = candidates
        self._keys = np.empty((len(left_out), 0), np.int64)
        self._better = np.empty((len(left_out), 0), np.float32)

    def add(self, scores: Vectors, first: int, better: Vectors | None = None) -> None:
        """
        Take in the scores of some documents.

        :param scores: *Shape:* (queries, documents) float32; -inf is a document that does not match at all.
        :param first: position of the first of these documents in the corpus.
        :param better: scores that rank the best ones anew in the end; given for all documents or for none. The same shape.
        """
        keys = _keys(scores, first)
        rows = np.flatnonzero((self._left_out >= first) & (self._left_out < first + scores.shape[1]))
        keys[rows, self._left_out[rows] - first] = _LEFT_OUT
        if self._candidates is not None:
            low, high = np.searchsorted(self._candidates[1], [first, first + scores.shape[1]])
            forbidden = np.ones(keys.shape, bool)
            forbidden[self._candidates[0, low:high], self._candidates[1, low:high] - first] = False
            keys[forbidden] = _LEFT_OUT
        keys = np.concatenate([self._keys, keys], axis=1)
        if better is not None:
            better = np.concatenate([self._better, better], axis=1)
        if keys.shape[1] > self._depth:
            if better is not None:
                places = np.argpartition(keys, -self._depth, axis=1)[:, -self._depth :]
                better, keys = np.take_along_axis(better, places, axis=1), np.take_along_axis(keys, places, axis=1)
            else:
                keys = np.partition(keys, -self._depth, axis=1)[:, -self._depth :].copy()
        self._keys = keys
        if better is not None:
            self._better = better

    def best(self, rescored: int = 0) -> list[Positions]:
        """
        Give for each query the positions of its best documents, best first.

        :param rescored: how many of the best are put in the order of their better scores; the others stay behind them.
        """
        if rescored:
            return [self._rescored(*row, rescored) for row in zip(self._keys, self._better, strict=True)]
        ordered = np.sort(self._keys, axis=1)[:, ::-1]
        return [0xFFFF_FFFF - (row[row != _LEFT_OUT] & 0xFFFF_FFFF) for row in ordered]

    def _rescored(self, keys: Positions, better: Vectors, count: int) -> Positions:
        order = np.argsort(keys)[::-1][: np.count_nonzero(keys != _LEFT_OUT)]
        positions = 0xFFFF_FFFF - (keys[order] & 0xFFFF_FFFF)
        anew = np.lexsort((positions[:count], -better[order[:count]]))
        return np.concatenate([positions[:count][anew], positions[count:]])


def rank_by_dot_product(
    queries: Vectors,
    blocks: Iterable[Vectors],
    depth: int,
    left_out: Positions,
    candidates: Positions | None = None,
) -> list[Positions]:
    """
    Rank documents by the dot product of their vectors with a query's, exactly; a block is forgotten once it is scored.

    :param queries: *Shape:* (queries, width) float32.
    :param blocks: the documents' vectors, *Shape:* (any, width) float32, in corpus order.
    :param depth: how many documents to keep for a query.
    :param left_out: *Shape:* (queries,) position of a document that a query must not find, or -1.
    :param candidates: as in :class:`TopDocuments`.
    :returns: for each query the positions of its best documents, best first; ties go to the earlier document.
    """
    top = TopDocuments(depth, left_out, candidates)
    step = max(1, SCORES_AT_ONCE // max(1, len(queries)))
    first = 0
    for block in blocks:
        for start in range(0, len(block), step):
            part = block[start : start + step]
            top.add(queries @ part.T, first)
            first += len(part)
    return top.best()


def cosines(left: Vectors, right: Vectors) -> Vectors:
    """
    Compare vectors row by row.

    :param left: *Shape:* (n, width) float32, no row all zeros.
    :param right: the same shape.
    :returns: *Shape:* (n,) float32, cosine of each row's two vectors.
    """
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    result: Vectors = np.einsum("ij,ij->i", left, right) / lengths
    return result


def _keys(scores: Vectors, first: int) -> Positions:
    bits = (scores.astype(np.float32, copy=False) + np.float32(0)).view(
        np.int32
    )  # + 0 turns -0.0 into 0.0: they are equal
    in_order = (bits ^ ((bits >> 31) & 0x7FFF_FFFF)).astype(np.int64)  # negative floats sort backwards by their bits
    positions = np.arange(first, first + scores.shape[1], dtype=np.int64)
    keys: Positions = (in_order << 32) | (0xFFFF_FFFF - positions)
    keys[np.isneginf(scores)] = _LEFT_OUT
    return keys
