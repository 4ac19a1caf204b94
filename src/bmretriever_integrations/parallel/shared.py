"""An array that several processes write into, found by a path."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Target:
    """Rows of a shared array, as a worker is told of them."""

    path: str
    shape: tuple[int, int]
    rows: NDArray[np.int64] | None
    """Which rows to write; None means all."""

    def write(self, vectors: Vectors) -> None:
        """
        Put vectors into the array.

        :param vectors: *Shape:* (rows, width) float32
        """
        array: Vectors = np.memmap(self.path, np.float32, "r+", shape=self.shape)
        array[slice(None) if self.rows is None else self.rows] = vectors


class SharedRows:
    """
    An array in memory that other processes reach by a path.

    On Linux it is anonymous memory (memfd): it needs no room in /dev/shm, of which containers have 64 MB by default, and it
    is gone with its last user, however that ends. Elsewhere it is a temporary file.

    The path is good as long as this object lives: whoever waits for a worker that may still open it must hold it.
    """

    def __init__(self, rows: int, width: int) -> None:
        """
        :param rows: at least 1.
        :param width: of a row.
        """
        self._handle, self._path = _open()
        os.ftruncate(self._handle, rows * width * np.dtype(np.float32).itemsize)
        self.shape = (rows, width)
        mapped: Vectors = np.memmap(self._path, np.float32, "r+", shape=self.shape)
        self.array: Vectors = np.asarray(mapped)
        """*Shape:* (rows, width) float32; lives on without this object."""

    def target(self, rows: NDArray[np.int64] | None = None) -> Target:
        """
        Name rows for a worker.

        :param rows: row numbers; None means all.
        """
        return Target(self._path, self.shape, rows)

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle is None:
            return
        os.close(handle)
        if not self._path.startswith("/proc/"):
            Path(self._path).unlink(missing_ok=True)


def _open() -> tuple[int, str]:
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("bmretriever-vectors")
        path = f"/proc/{os.getpid()}/fd/{handle}"
        if os.path.exists(path):
            return handle, path
        os.close(handle)
    return tempfile.mkstemp(prefix="bmretriever-vectors-")
