"""Find the best documents of each query by exact search, block by block."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.encoder.vectors import Vectors

Positions = NDArray[np.int64]
"""Positions of documents in the corpus, from 0."""

SCORES_AT_ONCE = 4_194_304
"""The number of scores in memory at a time: 16 MB of float32, and 32 MB for each copy of their sort keys."""

_LEFT_OUT = np.iinfo(np.int64).min


class TopDocuments:
    """
    Keeps the best documents of each query while scores are added, one block of documents after another.

    A 64-bit key contains the score's bits and, below them, the document's position. So no two keys are equal: of documents with
    equal scores, the earlier one in the corpus is better, and the size of the blocks does not matter.
    """

    def __init__(self, depth: int, left_out: Positions, candidates: Positions | None = None) -> None:
        """
        :param depth: the number of documents to keep for each query.
        :param left_out: *Shape:* (queries,) position of a document that a query must not find, or -1.
        :param candidates: *Shape:* (2, pairs) row of a query and position of a document that it may find, ordered by position.
            With None, every query may find every document.
        """
        self._depth = depth
        self._left_out = left_out
        self._candidates = candidates
        self._keys = np.empty((len(left_out), 0), np.int64)
        self._better = np.empty((len(left_out), 0), np.float32)

    def add(self, scores: Vectors, first: int, better: Vectors | None = None) -> None:
        """
        Add the scores of some documents.

        :param scores: *Shape:* (queries, documents) float32; a document with -inf is never found.
        :param first: position of the first of these documents in the corpus.
        :param better: more exact scores, by which the best documents are ranked again at the end. They must be given in all calls
            or in none. *Shape:* as ``scores``
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
        Return the positions of the best documents of each query, best first.

        :param rescored: the number of best documents that are ranked again by their better scores; the others follow unchanged.
        """
        if rescored:
            return [self._rescored(*row, rescored) for row in zip(self._keys, self._better, strict=True)]
        ordered = np.sort(self._keys, axis=1)[:, ::-1]
        return [0xFFFF_FFFF - (row[row != _LEFT_OUT] & 0xFFFF_FFFF) for row in ordered]

    def _rescored(self, keys: Positions, better: Vectors, count: int) -> Positions:
        order = np.argsort(keys)[::-1][: np.count_nonzero(keys != _LEFT_OUT)]
        positions = 0xFFFF_FFFF - (keys[order] & 0xFFFF_FFFF)
        new_order = np.lexsort((positions[:count], -better[order[:count]]))
        return np.concatenate([positions[:count][new_order], positions[count:]])


def rank_by_dot_product(
    queries: Vectors,
    blocks: Iterable[Vectors],
    depth: int,
    left_out: Positions,
    candidates: Positions | None = None,
) -> list[Positions]:
    """
    Rank documents by the dot product of their vectors with a query's, exactly. A block is not kept after it is scored.

    :param queries: the queries' vectors. *Shape:* (queries, width) float32
    :param blocks: the documents' vectors, in corpus order. *Shape:* (any, width) float32 each
    :param depth: the number of documents to keep for each query.
    :param left_out: *Shape:* (queries,) position of a document that a query must not find, or -1.
    :param candidates: as in :class:`TopDocuments`.
    :returns: the positions of the best documents of each query, best first; of equal scores, the earlier document is better.
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
    Compute the cosines of two lists of vectors, row by row.

    :param left: the first vectors; no row may be all zeros. *Shape:* (n, width) float32
    :param right: the second vectors; no row may be all zeros. *Shape:* (n, width) float32
    :returns: *Shape:* (n,) float32, cosine of each row's two vectors.
    """
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    result: Vectors = np.einsum("ij,ij->i", left, right) / lengths
    return result


def _keys(scores: Vectors, first: int) -> Positions:
    # adding 0 changes -0.0 to 0.0, because the two are equal but have different bits
    bits = (scores.astype(np.float32, copy=False) + np.float32(0)).view(np.int32)
    # the bits of negative floats are in reverse order
    in_order = (bits ^ ((bits >> 31) & 0x7FFF_FFFF)).astype(np.int64)
    positions = np.arange(first, first + scores.shape[1], dtype=np.int64)
    keys: Positions = (in_order << 32) | (0xFFFF_FFFF - positions)
    keys[np.isneginf(scores)] = _LEFT_OUT
    return keys
