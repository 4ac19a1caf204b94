"""Convert float32 vectors to bytes or bits, by the same arithmetic as ``sentence_transformers.util.quantize_embeddings``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = ["PRECISIONS", "Precision", "check_ranges", "quantize", "ranges_of", "restore"]

Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_STEPS = 255
_SIGN = np.uint8(0x80)


def check_ranges(precision: str, ranges: Sequence[Sequence[float]] | None) -> list[list[float]] | None:
    """
    Check that ranges are given where the precision needs them, before any vector is computed.

    If each batch were scaled by its own ranges, the same text would get other numbers in every batch, and a single query would
    have no range at all. So the caller must give the ranges for int8 and uint8.

    :param precision: one of :data:`PRECISIONS`.
    :param ranges: smallest values of a sample of vectors in the first row, largest values in the second. *Shape:* (2, width)
    :returns: the ranges as plain lists.
    :raises ValueError: if the precision is unknown, if ranges are missing, if the precision uses no ranges, or if their shape
        or values are wrong.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    scalar = precision in ("int8", "uint8")
    if ranges is None:
        if scalar:
            raise ValueError(
                f"precision {precision!r} needs quantization_ranges, [[smallest, ...], [largest, ...]] with a number for each "
                "dimension. Embed a sample as float32 and take [v.min(axis=0).tolist(), v.max(axis=0).tolist()]."
            )
        return None
    if not scalar:
        raise ValueError(f"quantization_ranges are for precision 'int8' and 'uint8'; {precision!r} does not use them")
    array = np.asarray(ranges, np.float64)
    if array.ndim != 2 or len(array) != 2:
        raise ValueError(f"quantization_ranges must have the shape (2, width), got {array.shape}")
    if not np.isfinite(array).all() or (array[0] > array[1]).any():
        raise ValueError("quantization_ranges must be finite, and no smallest value may be above its largest")
    checked: list[list[float]] = array.tolist()
    return checked


def quantize(
    vectors: NDArray[np.float32], precision: Precision, ranges: Sequence[Sequence[float]] | None = None
) -> NDArray[Any]:
    """
    Convert vectors to fewer bits.

    :param vectors: *Shape:* (n, width) float32
    :param precision: "float32" leaves the vectors unchanged; "int8" and "uint8" divide each dimension's range into 255 steps;
        "binary" and "ubinary" keep only the sign of each dimension, with eight dimensions in a byte.
    :param ranges: the ranges for int8 and uint8; see :func:`check_ranges`. *Shape:* (2, width)
    :returns: *Shape:* (n, width), or (n, width / 8 rounded up) for "binary" and "ubinary"; float32, int8 or uint8.
    :raises ValueError: as :func:`check_ranges` does, or if the ranges and the vectors have different widths.
    """
    limits = check_ranges(precision, ranges)
    if precision == "float32":
        return vectors
    if limits is not None:
        return _scalar(vectors, np.asarray(limits, np.float32), precision)
    bits: NDArray[np.uint8] = np.packbits(vectors > 0, axis=-1)
    return bits if precision == "ubinary" else (bits ^ _SIGN).view(np.int8)


def ranges_of(vectors: NDArray[np.float32]) -> list[list[float]]:
    """
    Compute the ranges of a sample of vectors, for int8 and uint8.

    :param vectors: a sample of some thousand vectors. Later values beyond the sample's range are clipped. *Shape:* (n, width)
        float32
    :returns: *Shape:* (2, width) smallest values, largest values.
    """
    ranges: list[list[float]] = [vectors.min(axis=0).tolist(), vectors.max(axis=0).tolist()]
    return ranges


def restore(
    codes: NDArray[Any], precision: Precision, width: int, ranges: Sequence[Sequence[float]] | None = None
) -> NDArray[np.float32]:
    """
    Convert the result of :func:`quantize` back to float32: to the middle of each step, or to +1 and -1 for a bit.

    :param codes: the result of :func:`quantize`.
    :param precision: the precision that was given to :func:`quantize`.
    :param width: the width of the vectors.
    :param ranges: the ranges that were given to :func:`quantize`. *Shape:* (2, width)
    :returns: *Shape:* (n, width) float32
    """
    if precision == "float32":
        return codes
    if precision in ("binary", "ubinary"):
        bits = np.unpackbits(_unsigned(codes), axis=-1, count=width)
        return bits.astype(np.float32) * 2 - 1
    low, high = np.asarray(check_ranges(precision, ranges), np.float32)
    restored: NDArray[np.float32] = low + (_unsigned(codes).astype(np.float32) + 0.5) * ((high - low) / _STEPS)
    return restored


def _unsigned(codes: NDArray[Any]) -> NDArray[np.uint8]:
    return codes if codes.dtype == np.uint8 else codes.view(np.uint8) ^ _SIGN


def _scalar(vectors: NDArray[np.float32], limits: NDArray[np.float32], precision: Precision) -> NDArray[Any]:
    width = vectors.shape[1]
    if limits.shape[1] != width:
        raise ValueError(
            f"quantization_ranges are {limits.shape[1]} wide, the vectors {width}: take them from this model"
        )
    low, high = limits
    step = (high - low) / _STEPS
    step[step == 0] = 1
    levels: NDArray[np.uint8] = np.clip(np.floor((vectors - low) / step), 0, _STEPS).astype(np.uint8)
    return levels if precision == "uint8" else (levels ^ _SIGN).view(np.int8)
