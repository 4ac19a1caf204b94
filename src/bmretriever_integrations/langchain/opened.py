"""Find the opened index of a retriever again: LangChain makes another retriever for each call that configures one."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock
from weakref import WeakValueDictionary

from bmretriever_integrations.index import SearchIndex
from bmretriever_integrations.index.search.shared import LazyIndex


class OpenedIndex:
    """An index that is opened at its first use. Pickles and copies name it alone."""

    def __init__(self, index: str, model: str | None, device: str | None) -> None:
        """
        :param index: its folder or URL.
        :param model: where the model is now; None takes the name in the index.
        :param device: the device of the model.
        """
        self._named = (index, model, device)
        self._lazy = LazyIndex()

    def use(self) -> AbstractContextManager[SearchIndex]:
        """
        Give the index for a while, during which it is not closed.

        :raises FileNotFoundError: if there is none.
        """
        return self._lazy.use(*self._named)

    def release(self) -> None:
        """Release the index; the next :meth:`use` opens it again."""
        self._lazy.release()

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
