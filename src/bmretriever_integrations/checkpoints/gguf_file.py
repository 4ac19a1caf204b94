"""Read a GGUF file: what it says of itself, and its tensors as float32.

The layout is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The package gguf reads it, too, but takes two
seconds for a vocabulary of 50,000 tokens, and "small" must not need a second package.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""The numbers of GGUF's types of values, and the letters by which :mod:`struct` calls these types."""
TEXT, LIST = 8, 9
"""The numbers of GGUF's two other types of values."""
BLOCKS: dict[int, tuple[int, Any]] = {
    0: (1, np.dtype([("value", "<f4")])),
    1: (1, np.dtype([("value", "<f2")])),
    3: (32, np.dtype([("scale", "<f2"), ("least", "<f2"), ("pairs", "u1", 16)])),
    8: (32, np.dtype([("scale", "<f2"), ("values", "i1", 32)])),
}
"""The number types that are read, F32, F16, Q4_1 and Q8_0: how many weights a block holds, and how it holds them."""


class GgufFile:
    """A GGUF file, of which one tensor at a time is converted."""

    def __init__(self, path: Path) -> None:
        """
        Read everything but the tensors.

        :param path: the file.
        :raises ValueError: if it is no GGUF file of version 2 or 3, or is damaged.
        """
        self._path, self._place = path, 4
        try:
            with path.open("rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            version, tensors, values = self._take("IQQ")
            if self._bytes[:4] != b"GGUF" or version not in (2, 3):
                raise ValueError("it has not the beginning of version 2 or 3")
            self.metadata = {self._text(): self._value(*self._take("I")) for _ in range(values)}
            self._places = {self._text(): self._tensor() for _ in range(tensors)}
        except (struct.error, KeyError, ValueError) as error:
            raise ValueError(f"{path} is no GGUF file or is damaged ({error}); install or copy it again") from error
        alignment = self.metadata.get("general.alignment", 32)
        self._start = -(-self._place // alignment) * alignment

    def __iter__(self) -> Iterator[str]:
        """Iterate over the tensors' names."""
        return iter(self._places)

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """
        Convert a tensor to float32.

        :param name: its name in the file.
        :returns: a new array, whose last dimension is the file's first.
        :raises ValueError: if its number type is none of :data:`BLOCKS`, or the file is too short.
        """
        shape, kind, offset = self._places[name]
        if kind not in BLOCKS:
            raise ValueError(
                f"{self._path}: {name} has the number type {kind}; F32, F16, Q4_1 and Q8_0 (0, 1, 3, 8) are read"
            )
        weights, block = BLOCKS[kind]
        count = int(np.prod(shape)) // weights
        if self._start + offset + count * block.itemsize > len(self._bytes):
            raise ValueError(f"{self._path} ends within the tensor {name}; install or copy it again")
        return _values(np.frombuffer(self._bytes, block, count, self._start + offset)).reshape(shape)

    def _take(self, kinds: str) -> Any:
        found = struct.unpack_from(f"<{kinds}", self._bytes, self._place)
        self._place += struct.calcsize(f"<{kinds}")
        return found

    def _text(self) -> str:
        start = self._place + 8
        (length,) = self._take("Q")
        self._place += length
        return self._bytes[start : self._place].decode("utf-8")

    def _value(self, kind: int) -> Any:
        if kind == TEXT:
            return self._text()
        if kind == LIST:
            of, count = self._take("IQ")
            return [self._value(of) for _ in range(count)]
        return self._take(NUMBERS[kind])[0]

    def _tensor(self) -> tuple[tuple[int, ...], int, int]:
        (dimensions,) = self._take("I")
        shape = self._take(f"{dimensions}Q")
        return (tuple(reversed(shape)), *self._take("IQ"))


def _values(blocks: Any) -> NDArray[np.float32]:
    """Convert blocks to float32, with the operations and in the order of the package gguf, so that no bit differs."""
    if "value" in blocks.dtype.names:
        return np.array(blocks["value"], np.float32)
    scale = blocks["scale"].astype(np.float32)[:, None]
    if "values" in blocks.dtype.names:
        values: NDArray[np.float32] = np.multiply(blocks["values"], scale, dtype=np.float32)
        return values
    both = np.concatenate([blocks["pairs"] & 15, blocks["pairs"] >> 4], axis=1)  # the low halves come first
    values = np.multiply(both, scale, dtype=np.float32)
    values += blocks["least"].astype(np.float32)[:, None]
    return values
