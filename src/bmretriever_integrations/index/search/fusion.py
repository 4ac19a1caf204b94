"""The two rankings of a question, by vectors and by words, made one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CANDIDATES = 100
"""Rows of each side that are fused, or as many as are asked for if that is more."""
SHARE = 0.5
"""Share of the vectors in a fused score. docs/evaluation.md has what others gave."""


def fuse(
    by_vector: NDArray[Any],
    vector_scores: NDArray[Any],
    by_words: NDArray[Any],
    word_scores: NDArray[Any],
    share: float = SHARE,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """
    Bring the scores of each side to 0 to 1 (see :func:`scaled`) and weigh them. A row that one side lacks gets 0 from it.

    :param by_vector: the rows that one side found, each once, by any number of their own, in any order. *Shape:* (n,)
    :param vector_scores: their scores; more is better. *Shape:* (n,)
    :param by_words: the rows that the other side found, each once. *Shape:* (m,)
    :param word_scores: their scores; more is better. *Shape:* (m,)
    :param share: the share of the vectors, 0 to 1.
    :returns: for each row that was found, in the order of the rows' numbers: its first place in ``by_vector`` followed by
        ``by_words``, *Shape:* (rows,), and what its fused score has from the vectors and from the words, *Shape:* (rows, 2).
        Their sum is the score, 0 to 1.
    """
    _, first, row = np.unique(np.concatenate([by_vector, by_words]), return_index=True, return_inverse=True)
    parts = np.zeros((len(first), 2))
    parts[row[: len(by_vector)], 0] = share * scaled(vector_scores)
    parts[row[len(by_vector) :], 1] = (1 - share) * scaled(word_scores)
    return first.astype(np.int64), parts


def scaled(scores: NDArray[Any]) -> NDArray[np.float64]:
    """
    Bring scores to 0 to 1: the lowest becomes 0, the highest 1. If all are equal, all become 1, as a single hit is a good one.

    :param scores: any number of finite scores. *Shape:* (n,)
    """
    numbers: NDArray[np.float64] = np.asarray(scores, np.float64)
    if len(numbers) == 0 or numbers.min() == numbers.max():
        return np.ones(len(numbers))
    between: NDArray[np.float64] = (numbers - numbers.min()) / (numbers.max() - numbers.min())
    return between
