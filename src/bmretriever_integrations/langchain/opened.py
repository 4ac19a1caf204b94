"""Share opened indices: retrievers of one index use one SearchIndex, also if LangChain makes a retriever for each call."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from weakref import WeakValueDictionary

from bmretriever_integrations.index import SearchIndex


class OpenedIndex:
    """An index that is opened at its first use. Pickles name it alone: another process opens it for itself."""

    def __init__(self, index: str, model: str | None, device: str | None) -> None:
        """
        :param index: its folder or URL.
        :param model: where the model is now; None takes the name in the index.
        :param device: the device of the model.
        """
        self._named = (index, model, device)
        self._lock = Lock()
        self._index: SearchIndex | None = None

    def get(self) -> SearchIndex:
        """
        Return the index, which is opened by the first call.

        :raises FileNotFoundError: if there is none.
        """
        with self._lock:
            if self._index is None:
                index, model, device = self._named
                self._index = SearchIndex.open(index, model=model, device=device)
            return self._index

    def close(self) -> None:
        """Close the index, if it is open; the next :meth:`get` opens it again."""
        with self._lock:
            index, self._index = self._index, None
        if index is not None:
            index.close()

    def __reduce__(self) -> tuple[Callable[..., OpenedIndex], tuple[str, str | None, str | None]]:
        return opened_index, self._named


_lock = Lock()
_indices: WeakValueDictionary[tuple[str, str | None, str | None], OpenedIndex] = WeakValueDictionary()


def opened_index(index: str, model: str | None, device: str | None) -> OpenedIndex:
    """
    Return what all callers with these arguments share, as long as one of them keeps it.

    :param index: folder or URL of the index.
    :param model: where the model is now; None takes the name in the index.
    :param device: the device of the model.
    """
    place = index if "://" in index else os.path.abspath(index)
    with _lock:
        return _indices.setdefault((place, model, device), OpenedIndex(place, model, device))
