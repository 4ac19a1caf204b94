"""Check the vectors that the network made, and write them into the caller's array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""Vectors, one row for each text. *Shape:* (n, width) float32"""


class Output:
    """The array of one call. A prompt that occurs more than once is embedded once and its vector written to all its rows."""

    def __init__(self, prompts: Sequence[str], width: int, normalize: bool, out: NDArray[np.float32] | None) -> None:
        """
        :param prompts: in the caller's order.
        :param width: the width of a vector.
        :param normalize: scale the vectors to length 1.
        :param out: the caller's array; None creates one.
        :raises TypeError: if ``out`` is not an array of float32.
        :raises ValueError: if ``out`` has another shape or is read-only.
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
        Find the first row in the array for each of some distinct prompts.

        :param numbers: the prompts' positions in :attr:`prompts`.
        """
        return list(numbers) if self._rows is None else [self._rows[number][0] for number in numbers]

    def write(self, numbers: Sequence[int] | NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """
        Check the vectors of some distinct prompts, and write them to the prompts' rows.

        :param numbers: the prompts' positions in :attr:`prompts`.
        :param vectors: the prompts' vectors; this method may change them. *Shape:* (len(numbers), width) float32
        :raises FloatingPointError: if a value is NaN or infinite; the message names the rows.
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
    Check vectors, and scale them to length 1 if the caller asks for it.

    :param vectors: the vectors, which are scaled in place. *Shape:* (n, width) float32
    :param normalize: scale each row to L2 norm 1. The released models' scores are dot products of un-normalised vectors.
    :param numbers: the number of each row for the message; None counts the rows from 0.
    :returns: the same array.
    :raises FloatingPointError: if a value is NaN or infinite; the message names the rows.
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
