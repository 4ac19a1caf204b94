"""Is it the same computation? Every contender's vectors beside the plain reference, in the same run as its speed."""

from __future__ import annotations

from typing import Any

import numpy as np

from side_by_side.contenders import Vectors

RELATIVE_ERROR = 1e-5
COSINE = 0.999
"""docs/correctness.md: the largest relative error of a row in float32, the smallest cosine in 16 bits."""
COSINE_OF_INT8 = 0.99
"""The smallest cosine with weights of 8 bits, which are rounded on purpose."""


def smallest_cosine(dtype: str) -> float | None:
    """
    The cosine that right vectors have at least; None in float32, where the relative error decides.

    :param dtype: that they were computed in.
    """
    return None if dtype == "float32" else COSINE_OF_INT8 if dtype == "int8" else COSINE


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
    least = smallest_cosine(dtype)
    good = error <= RELATIVE_ERROR if least is None else cosine >= least
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
