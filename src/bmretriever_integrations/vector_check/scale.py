"""Tell what was done to vectors after they were computed: shorter, scaled, or put into another number type."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAME_LENGTH = 0.05
"""The largest difference of a row's lengths, as a share, that a 16-bit number type leaves."""

NORMALISED = "normalised to length 1"
NOT_NORMALISED = "not normalised"


def scaling(given: NDArray[Any], computed: NDArray[Any], normalizes: bool) -> str | None:
    """
    Tell how given vectors were scaled.

    :param given: *Shape:* (n, width)
    :param computed: vectors of the same directions. *Shape:* (n, width of the model)
    :param normalizes: whether the model's vectors have the length 1.
    :returns: what is wrong with their lengths, or None.
    """
    lengths = np.linalg.norm(np.asarray(given, np.float64), axis=1)
    whole = np.linalg.norm(np.asarray(computed, np.float64), axis=1)
    kept = np.linalg.norm(np.asarray(computed[:, : given.shape[1]], np.float64), axis=1)
    used = (lengths > 0) & (kept > 0)
    lengths, whole, kept = lengths[used], whole[used], kept[used]
    unscaled, unit = _same(lengths, kept), _same(lengths, np.ones_like(kept)) | _same(lengths, kept / whole)
    right, wrong, name = (unit, unscaled, NOT_NORMALISED) if normalizes else (unscaled, unit, NORMALISED)
    if right.all():
        return None
    if wrong.all():
        return name
    if (right | wrong).all():
        return f"{name} in {int((~right).sum()):,} of {len(right):,} rows"
    return _factor(lengths / (np.ones_like(kept) if normalizes else kept))


def _same(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = np.abs(one / other - 1) <= SAME_LENGTH
    return same


def _factor(factors: NDArray[np.float64]) -> str:
    middle = float(np.median(factors))
    is_constant = _same(factors, np.full_like(factors, middle)).all()
    return f"multiplied by {middle:.3g}" if is_constant else "lengths changed row by row"


def number_type(given: NDArray[Any]) -> str | None:
    """
    Tell whether numbers are those of a 16-bit number type.

    :param given: *Shape:* (n, width)
    :returns: ``"bfloat16"``, ``"float16"``, or None if they are finer.
    """
    if given.dtype == np.float16:
        return "float16"
    single = np.ascontiguousarray(given, np.float32)
    if not (single.view(np.uint32) & 0xFFFF).any():
        return "bfloat16"
    with np.errstate(over="ignore"):
        return "float16" if np.array_equal(single.astype(np.float16).astype(np.float32), single) else None
