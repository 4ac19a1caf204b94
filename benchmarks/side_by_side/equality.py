"""Is it the same computation? Every contender's vectors beside the plain reference, in the same run as its speed."""

from __future__ import annotations

from typing import Any

import numpy as np

from side_by_side.contenders import Vectors

RELATIVE_ERROR = 1e-5
COSINE = 0.999
"""docs/correctness.md: the largest relative error of a row in float32, the smallest cosine in 16 bits."""


def compare(found: Vectors, right: Vectors, dtype: str) -> dict[str, Any]:
    """
    Compare vectors with the reference's.

    :param found: *Shape:* (n, width) float32
    :param right: *Shape:* (n, width) float32, of ``testing.reference_encode``.
    :param dtype: that they were computed in.
    :returns: the largest relative error and the smallest cosine of a row, and whether that is right for the dtype.
    """
    error = float((np.linalg.norm(found - right, axis=1) / np.linalg.norm(right, axis=1)).max())
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(right, axis=1)
    cosine = float(((found * right).sum(axis=1) / lengths).min())
    good = error <= RELATIVE_ERROR if dtype == "float32" else cosine >= COSINE
    return {"relative_error": error, "cosine": cosine, "right": bool(good)}


def likeness(right: Vectors) -> float:
    """
    How alike the reference's vectors of different texts are: a wrong vector may be as close as this by chance.

    :param right: *Shape:* (n, width) float32
    :returns: the largest cosine of two of them.
    """
    unit = right / np.linalg.norm(right, axis=1, keepdims=True)
    cosines = unit @ unit.T
    return float(cosines[~np.eye(len(right), dtype=bool)].max())
