"""A dense model as the miner: exact search by inner product, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from bmretriever_integrations.training.negatives.miner import Found
from bmretriever_integrations.training.negatives.pool import Query
from bmretriever_integrations.training.negatives.work import save_array

Vectors = NDArray[np.float32]
PASSAGES_AT_ONCE = 2_048
"""Passages of a block of vectors. A stopped run embeds at most one block again; it takes 3 MB on disk and in memory at width
384. FAISS on a GPU finds at most 2,048 neighbours (its wiki, "Faiss on the GPU"), so a block must not be larger."""


class Embedder(Protocol):
    """Turns texts into vectors whose inner product is the score."""

    @property
    def name(self) -> str:
        """Name of the model in the report."""
        ...

    def settings(self) -> dict[str, Any]:
        """Everything that decides a vector, as JSON values."""
        ...

    def queries(self, texts: Sequence[str], instruction: str) -> Vectors:
        """
        Embed queries.

        :param texts: queries without template.
        :param instruction: the sentence that says what the queries look for.
        :returns: *Shape:* (n, width) float32
        """
        ...

    def passages(self, texts: Sequence[str]) -> Vectors:
        """
        Embed passages.

        :param texts: passages without template.
        :returns: *Shape:* (n, width) float32
        """
        ...


class DenseMiner:
    """
    Exact search with an embedder's vectors.

    Vectors are stored on disk in blocks of :data:`PASSAGES_AT_ONCE` passages, 4 bytes times the width for each. Memory beside
    the model and the texts: one block, and for a chunk of queries twice the depth of results. FAISS searches on a GPU if it
    finds one.
    """

    def __init__(self, embedder: Embedder) -> None:
        """
        :param embedder: the model.
        :raises ModuleNotFoundError: if FAISS is not installed.
        """
        if find_spec("faiss") is None:
            raise ModuleNotFoundError(
                "dense miners search with FAISS: pip install 'bmretriever-integrations[faiss]', or [faiss-gpu] for a GPU"
            )
        self.name = embedder.name
        self._embedder = embedder

    def settings(self) -> dict[str, Any]:
        """As :meth:`Miner.settings`."""
        return {**self._embedder.settings(), "passages_at_once": PASSAGES_AT_ONCE}

    def prepare(self, passages: Sequence[str], work: Path, progress: bool) -> None:
        """As :meth:`Miner.prepare`: embeds the blocks that no earlier run has stored."""
        self._work = work
        starts = range(0, len(passages), PASSAGES_AT_ONCE)
        missing = [start for start in starts if not self._path(start).exists()]
        embedded = len(passages) - sum(min(PASSAGES_AT_ONCE, len(passages) - start) for start in missing)
        with tqdm(
            desc="embedding", unit="passage", total=len(passages), initial=embedded, disable=None if progress else True
        ) as bar:
            for start in missing:
                texts = passages[start : start + PASSAGES_AT_ONCE]
                save_array(self._path(start), self._finite(self._embedder.passages(texts), texts))
                bar.update(len(texts))

    def search(self, queries: Sequence[Query], reach: Sequence[range], depth: int) -> Found:
        """As :meth:`Miner.search`."""
        vectors = self._embed(queries)
        rows = np.full((len(queries), depth), -1, np.int32)
        scores = np.full((len(queries), depth), -np.inf, np.float32)
        counts = [len(query.positives) for query in queries]
        positives = np.concatenate([np.array(query.positives, np.int64) for query in queries])
        owners = np.repeat(np.arange(len(queries)), counts)
        own = np.empty(len(positives), np.float32)
        for block in _blocks(reach):
            start = block * PASSAGES_AT_ONCE
            passages: Vectors = np.load(self._path(start))
            here = np.flatnonzero((positives >= start) & (positives < start + len(passages)))
            own[here] = np.einsum("ij,ij->i", vectors[owners[here]], passages[positives[here] - start])
            for part in reach:
                first, last = max(start, part.start), min(start + len(passages), part.stop)
                if first < last:
                    new_scores, new_rows = nearest(vectors, passages[first - start : last - start], depth)
                    scores, rows = _merge((scores, rows), (new_scores, (new_rows + first).astype(np.int32)), depth)
        return Found(rows, scores, own)

    def _embed(self, queries: Sequence[Query]) -> Vectors:
        """Embed the queries of one instruction after the other; returns vectors in the queries' order."""
        parts: dict[str, list[int]] = {}
        for n, query in enumerate(queries):
            parts.setdefault(query.instruction, []).append(n)
        order = [n for part in parts.values() for n in part]
        embedded = []
        for said, part in parts.items():
            texts = [queries[n].text for n in part]
            embedded.append(self._finite(self._embedder.queries(texts, said), texts))
        vectors = np.concatenate(embedded)[np.argsort(order)]
        return np.ascontiguousarray(vectors, np.float32)

    def _finite(self, vectors: Vectors, texts: Sequence[str]) -> Vectors:
        """Refuse vectors that hold no numbers: FAISS passes over them in silence, so such a passage would never be found."""
        wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(wrong):
            raise ValueError(
                f"the miner {self.name} gives {len(wrong)} of {len(texts)} texts a vector with NaN or infinity, first "
                f"{texts[wrong[0]][:60]!r}; take another number type or model"
            )
        return vectors

    def _path(self, start: int) -> Path:
        return self._work / f"{start // PASSAGES_AT_ONCE:06}.npy"


def _blocks(reach: Sequence[range]) -> list[int]:
    """List the numbers of the blocks that hold a passage in reach."""
    size = PASSAGES_AT_ONCE
    return sorted({block for part in reach if part for block in range(part[0] // size, part[-1] // size + 1)})


def nearest(queries: Vectors, passages: Vectors, depth: int) -> tuple[Vectors, NDArray[np.int64]]:
    """
    Find the passages of one block with the highest inner products, on a GPU if FAISS finds one, else on the CPU.

    :param queries: *Shape:* (n, width) float32
    :param passages: *Shape:* (m, width) float32
    :param depth: most passages for each query; a smaller block gives all that it has.
    :returns: scores, best first, and positions in the block. *Shape:* (n, min(depth, m)) each
    """
    import faiss

    most = min(depth, len(passages))
    if getattr(faiss, "get_num_gpus", lambda: 0)() > 0:
        scores, rows = faiss.knn_gpu(_gpu(), queries, passages, most, metric=faiss.METRIC_INNER_PRODUCT)
    else:
        scores, rows = faiss.knn(queries, passages, most, metric=faiss.METRIC_INNER_PRODUCT)
    return scores, rows


@lru_cache(1)
def _gpu() -> Any:
    """Reserve FAISS's scratch memory on the GPU once, for all searches of the process."""
    import faiss

    return faiss.StandardGpuResources()


def _merge(
    known: tuple[Vectors, NDArray[np.int32]], new: tuple[Vectors, NDArray[np.int32]], depth: int
) -> tuple[Vectors, NDArray[np.int32]]:
    """Keep the best of both results; equal scores stay in the order of the blocks."""
    scores, rows = np.hstack([known[0], new[0]]), np.hstack([known[1], new[1]])
    best = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    return np.take_along_axis(scores, best, 1), np.take_along_axis(rows, best, 1)
