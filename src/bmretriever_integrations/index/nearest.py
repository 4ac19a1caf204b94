"""Exact search by inner product, in a block of vectors that may lie on disk."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Rows = NDArray[np.int64]


def nearest(query: NDArray[np.float32], vectors: NDArray[np.float32], top_k: int) -> tuple[Scores, Rows]:
    """
    Find the rows with the highest inner product: with FAISS where it is installed, else with NumPy.

    :param query: *Shape:* (width,) float32
    :param vectors: *Shape:* (n, width) float32, contiguous; a memory map is read, not copied.
    :param top_k: how many, from 1 to n.
    :returns: scores and row numbers, best first. *Shape:* (top_k,) each
    """
    return _with_faiss(query, vectors, top_k) if find_spec("faiss") else _with_numpy(query, vectors, top_k)


def _with_faiss(query: NDArray[np.float32], vectors: NDArray[np.float32], top_k: int) -> tuple[Scores, Rows]:
    import faiss

    scores, rows = faiss.knn(query[None], vectors, top_k, metric=faiss.METRIC_INNER_PRODUCT)
    return scores[0], rows[0]


def _with_numpy(query: NDArray[np.float32], vectors: NDArray[np.float32], top_k: int) -> tuple[Scores, Rows]:
    scores = vectors @ query
    rows = np.argpartition(-scores, top_k - 1)[:top_k]
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    return scores[rows], rows
