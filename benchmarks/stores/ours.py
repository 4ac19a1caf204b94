"""Our index as a contender. Its vectors are computed beforehand, as those of all others are."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.stores.data import TOP, Data, Question
from numpy.typing import NDArray


class Computed:
    """Engines that look vectors up. They go by the name of ``mini``, so that its engine may embed the questions."""

    slots, cut_texts, batch_tokens = 1, 0, 4096

    def __init__(self, data: Data) -> None:
        """
        :param data: the passages and their vectors.
        """
        rows = zip(data.records, data.vectors, strict=True)
        self._vectors = {(one["title"], one["text"]): vector for one, vector in rows}
        self._identity = data.identity
        self.width = data.vectors.shape[1]

    def identity(self) -> dict[str, Any]:
        """Return what decides the vectors."""
        return self._identity

    def submit_passages(
        self, calls: tuple[Any, ...], _batch_tokens: int, done: Callable[[int], None]
    ) -> Future[NDArray[np.float32]]:
        """
        Look vectors up.

        :param calls: each a list of texts and a list of their titles.
        :param _batch_tokens: means nothing here.
        :param done: told how many were looked up.
        :returns: the vectors. *Shape:* (n, width) float32
        """
        asked = [(title, text) for texts, titles in calls for text, title in zip(texts, titles, strict=True)]
        future: Future[NDArray[np.float32]] = Future()
        future.set_result(np.stack([self._vectors[one] for one in asked]))
        done(len(asked))
        return future


class OurIndex:
    """Exact search by the inner product."""

    def build(self, data: Data, folder: Path) -> None:
        """See :class:`~benchmarks.stores.contenders.Store`."""
        from bmretriever_integrations.index import build_index

        build_index(Computed(data), [data.passages], folder)

    def open(self, folder: Path) -> None:
        """See :class:`~benchmarks.stores.contenders.Store`."""
        from bmretriever_integrations.index import SearchIndex

        self._index = SearchIndex.open(folder)

    def search(self, question: Question) -> list[str]:
        """See :class:`~benchmarks.stores.contenders.Store`."""
        return [hit.id for hit in self._index.search(question.vector, TOP)]


class OurTunedIndex(OurIndex):
    """Approximate search, with the default recall."""

    def build(self, data: Data, folder: Path) -> None:
        """See :class:`~benchmarks.stores.contenders.Store`. A table that is too small to be tuned stays exact."""
        from bmretriever_integrations.index.tune import FEWEST_ROWS, tune_index

        super().build(data, folder)
        if len(data.records) >= FEWEST_ROWS:
            tune_index(folder)


class OurHybrid(OurIndex):
    """Search by vectors and words; the question is embedded in the same call."""

    def search(self, question: Question) -> list[str]:
        """See :class:`~benchmarks.stores.contenders.Store`."""
        return [hit.id for hit in self._index.search(question.words, TOP)]
