"""States from the network -> checked vectors in the caller's array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""One row a text. *Shape:* (n, width) float32"""


class Output:
    """The array of one call. Texts that occur more than once are embedded once and written to all their rows."""

    def __init__(self, prompts: Sequence[str], width: int, normalize: bool, out: NDArray[np.float32] | None) -> None:
        """
        :param prompts: in the caller's order.
        :param width: the width of a vector.
        :param normalize: scale what is written to length 1.
        :param out: the caller's array; None makes one.
        :raises TypeError: if ``out`` is no array of float32.
        :raises ValueError: if it is of another shape or may not be written.
        """
        self.vectors = _checked(out, (len(prompts), width))
        self._normalize = normalize
        self.prompts = list(dict.fromkeys(prompts))
        """Each distinct prompt once."""
        self._rows: list[list[int]] | None = None
        if len(self.prompts) < len(prompts):
            rows: dict[str, list[int]] = {prompt: [] for prompt in self.prompts}
            for row, prompt in enumerate(prompts):
                rows[prompt].append(row)
            self._rows = list(rows.values())

    def rows(self, numbers: Sequence[int] | NDArray[np.int64]) -> list[int]:
        """
        Tell the first row of each of some distinct prompts.

        :param numbers: places in :attr:`prompts`.
        """
        return list(numbers) if self._rows is None else [self._rows[number][0] for number in numbers]

    def write(self, numbers: Sequence[int] | NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """
        Check the vectors of some distinct prompts, and write them to the prompts' rows.

        :param numbers: places in :attr:`prompts`.
        :param vectors: *Shape:* (len(numbers), width) float32; may be changed.
        :raises FloatingPointError: if a value is NaN or infinite; names the rows.
        """
        vectors = finish(vectors, self._normalize, self.rows(numbers))
        if self._rows is None:
            self.vectors[numbers] = vectors
            return
        for number, vector in zip(numbers, vectors, strict=True):
            self.vectors[self._rows[number]] = vector


def _checked(out: NDArray[np.float32] | None, shape: tuple[int, int]) -> NDArray[np.float32]:
    if out is None:
        return np.empty(shape, np.float32)
    if not isinstance(out, np.ndarray) or out.dtype != np.float32:
        raise TypeError(
            f"out must be a float32 ndarray or memmap, got {getattr(out, 'dtype', None) or type(out).__name__}"
        )
    if out.shape != shape:
        raise ValueError(f"out must have the shape {shape}, texts by width, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out may not be written: open the memmap with mode 'r+' or 'w+'")
    return out


def finish(vectors: NDArray[np.float32], normalize: bool, numbers: Sequence[int] | None = None) -> NDArray[np.float32]:
    """
    Check vectors, and scale them to unit length where that is asked for.

    :param vectors: *Shape:* (n, width) float32; scaled in place.
    :param normalize: scale each row to L2 norm 1. The released models' scores are dot products of un-normalised vectors.
    :param numbers: what to call each row in a message; None: by its place.
    :returns: the same array.
    :raises FloatingPointError: if a value is NaN or infinite; names the rows.
    """
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        rows = sorted(row if numbers is None else numbers[row] for row in np.flatnonzero(~finite).tolist())
        raise FloatingPointError(
            f"{len(rows)} of {len(vectors)} vectors hold NaN or infinity (rows {', '.join(map(str, rows[:5]))}"
            f"{', ...' if len(rows) > 5 else ''}). float16 overflows on some backbones: use dtype='bfloat16' or 'float32'; "
            "if that does not help, the checkpoint's weights are damaged."
        )
    if normalize:
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return vectors
