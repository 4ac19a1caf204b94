"""Measure how well computed vectors fit the given ones, and choose the best and simplest explanation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.vector_check.recipes import Recipe

FITTING_COSINE = 0.999
"""The smallest cosine of a row that fits. Vectors of 16-bit networks reach it; other vectors do not."""
EXACT = 1e-9
"""The largest mean of 1 - cosine that float32 arithmetic leaves."""
CHUNK = 8192
"""Rows that are searched at a time."""


@dataclass(frozen=True, eq=False)
class Fit:
    """How well one way to compute vectors explains the given ones."""

    recipe: Recipe
    cosines: NDArray[np.float64]
    """The cosine of each row."""

    @property
    def fitting(self) -> int:
        """The number of rows that fit."""
        return int((self.cosines >= FITTING_COSINE).sum())

    @property
    def distance(self) -> float:
        """The mean of 1 - cosine."""
        return float(np.mean(1 - self.cosines))

    @property
    def fits_all(self) -> bool:
        """Whether every row fits."""
        return self.fitting == len(self.cosines)

    @property
    def close(self) -> NDArray[np.bool_]:
        """Which rows fit about as closely as the closest tenth of them."""
        distances = 1 - self.cosines
        close: NDArray[np.bool_] = distances <= max(1e-7, 30 * float(np.quantile(distances, 0.1)))
        return close

    @property
    def is_uneven(self) -> bool:
        """Whether some rows fit so much worse than others that their texts may have been cut elsewhere."""
        distances = 1 - self.cosines
        return float(distances.max()) > max(1e-7, 30 * float(np.median(distances)))


def cosines(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """
    Compute the cosine of each row of two arrays; a row of zeros has the cosine 0.

    :param one: *Shape:* (n, width)
    :param other: *Shape:* (n, width)
    """
    products: NDArray[np.float64] = (unit(one) * unit(other)).sum(axis=1)
    return products


def unit(rows: NDArray[Any]) -> NDArray[np.float64]:
    """
    Scale rows to length 1; a row of zeros stays as it is.

    :param rows: *Shape:* (n, width)
    """
    exact = np.asarray(rows, np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = exact / np.where(lengths == 0, 1, lengths)
    return scaled


def ranked(fits: Iterable[Fit]) -> list[Fit]:
    """
    Sort explanations: those that fit more rows first, then those that fit more closely.

    A simpler explanation goes before one that fits the same rows no more than four times as closely.

    :param fits: the explanations, the simplest first.
    """
    order = sorted(fits, key=lambda fit: (-fit.fitting, fit.distance))
    if not order:
        return []
    best = order[0]
    near = [f for f in order if f.fitting == best.fitting and f.distance <= max(4 * best.distance, EXACT)]
    near.sort(key=lambda fit: (len(fit.recipe.mistakes), fit.distance))
    return [*near, *(fit for fit in order if fit not in near)]


def nearest_rows(given: NDArray[Any], wanted: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """
    Find the given row that is nearest to each computed vector by cosine.

    :param given: *Shape:* (rows, width), which may lie on disk
    :param wanted: *Shape:* (n, width)
    :returns: the numbers of the rows, and their cosines.
    """
    places, best = np.zeros(len(wanted), np.int64), np.full(len(wanted), -2.0)
    wanted = unit(wanted).astype(np.float32)
    for start in range(0, len(given), CHUNK):
        products = wanted @ unit(given[start : start + CHUNK]).astype(np.float32).T
        found = products.argmax(1)
        values = products[np.arange(len(wanted)), found].astype(np.float64)
        places = np.where(values > best, found + start, places)
        best = np.maximum(values, best)
    return places, best


def evenly(count: int, most: int) -> Sequence[int]:
    """
    Choose numbers spread evenly over a range.

    :param count: the range's end.
    :param most: how many to choose.
    """
    return sorted({int(place) for place in np.linspace(0, count - 1, min(count, most))})
