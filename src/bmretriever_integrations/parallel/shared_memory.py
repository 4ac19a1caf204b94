"""Share an array between this process and a worker of this machine, so that no vector is pickled. A path identifies the array."""

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
    An array that two processes map. Its memory exists as long as one of the processes maps it.

    On Linux it is anonymous memory (memfd). That takes no space in /dev/shm, of which containers have 64 MB by default, and the
    kernel frees it when its last user ends, even if that user is killed. On other systems it is a temporary file.
    """

    path: str
    """The path under which the array can be opened."""
    shape: tuple[int, int]
    """Rows and width."""

    def map(self) -> Vectors:
        """
        Map the array into this process.

        :returns: *Shape:* :attr:`shape` float32
        """
        mapped: Vectors = np.memmap(self.path, np.float32, "r+", shape=self.shape)
        return np.asarray(mapped)


@contextmanager
def shared_rows(rows: int, width: int) -> Iterator[SharedRows]:
    """
    Create an array. Its path is valid inside the block only; an array that was mapped stays mapped.

    :param rows: the number of rows, at least 1.
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
