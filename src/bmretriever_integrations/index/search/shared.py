"""Share open indices: retrievers that ask for the same one use it together, and it is closed when the last one releases it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from bmretriever_integrations.encoder.forked import renew_after_fork
from bmretriever_integrations.encoder.leases import Lease, Shared
from bmretriever_integrations.index.search.search_index import SearchIndex


class Opening(NamedTuple):
    """What is opened; see :meth:`SearchIndex.open`."""

    place: str
    """A folder or a URL."""
    model: str | None = None
    device: str | None = None


def _open(opening: Opening) -> SearchIndex:
    return SearchIndex.open(opening.place, model=opening.model, device=opening.device)


_indices: Shared[Opening, SearchIndex] = Shared(_open)


def indices_open() -> int:
    """Count the shared indices that are open, so that a test or a service can see whether all were released."""
    return len(_indices)


class LazyIndex:
    """Opens a shared index at its first use and holds it. Copies and pickles of this object hold nothing."""

    def __init__(self) -> None:
        self.renew()
        renew_after_fork(self)
        self._opening: Opening | None = None
        self._lease: Lease[Opening, SearchIndex] | None = None

    def renew(self) -> None:
        """Replace the lock, in a process that was forked from this object's."""
        self._lock = threading.Lock()

    @contextmanager
    def use(self, index: str, model: str | None, device: str | None) -> Iterator[SearchIndex]:
        """
        Give the index for a while, during which it is not closed. It is opened if this object holds none or another one.

        :param index: a folder or a URL.
        :param model: see :meth:`SearchIndex.open`.
        :param device: see :meth:`SearchIndex.open`.
        :raises FileNotFoundError: as :meth:`SearchIndex.open` does, as for the other errors.
        """
        opening = Opening(index if "://" in index else os.path.abspath(index), model, device)
        with self._lock:
            if self._lease is None or self._opening != opening:
                self._release()
                self._lease, self._opening = _indices.take(opening), opening
            lease = self._lease.again()
        try:
            yield lease.thing
        finally:
            lease.release()

    def release(self) -> None:
        """Release the index; the next :meth:`use` opens it again. Calls that are under way end as they would have."""
        with self._lock:
            self._release()

    def _release(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()

    def __reduce__(self) -> tuple[type[LazyIndex], tuple[()]]:
        return LazyIndex, ()
