"""An array in memory that a worker of this machine writes into, found by a path; so that no vector is pickled."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bmretriever_integrations.encoder.vectors import Vectors


@dataclass(frozen=True)
class SharedRows:
    """
    Where the array is. Both sides map it, and its memory lives as long as either does.

    On Linux it is anonymous memory (memfd): it needs no room in /dev/shm, of which containers have 64 MB by default, and it
    is gone with its last user, however that ends. Elsewhere it is a temporary file.
    """

    path: str
    shape: tuple[int, int]

    def map(self) -> Vectors:
        """
        Reach the array.

        :returns: *Shape:* :attr:`shape` float32
        """
        mapped: Vectors = np.memmap(self.path, np.float32, "r+", shape=self.shape)
        return np.asarray(mapped)


@contextmanager
def shared_rows(rows: int, width: int) -> Iterator[SharedRows]:
    """
    Make an array; its path is good inside the block only, what was mapped stays.

    :param rows: at least 1.
    :param width: the width of a row.
    """
    handle, path = _open()
    try:
        os.ftruncate(handle, rows * width * np.dtype(np.float32).itemsize)
        yield SharedRows(path, (rows, width))
    finally:
        os.close(handle)
        if not path.startswith("/proc/"):
            Path(path).unlink(missing_ok=True)


def _open() -> tuple[int, str]:
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("bmretriever-vectors")
        path = f"/proc/{os.getpid()}/fd/{handle}"
        if os.path.exists(path):
            return handle, path
        os.close(handle)
    return tempfile.mkstemp(prefix="bmretriever-vectors-")
