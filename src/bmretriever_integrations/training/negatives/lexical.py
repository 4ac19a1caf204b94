"""BM25 as the miner: it ranks by words in common and needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import Stemmer
from bm25s.tokenization import Tokenizer
from numpy.typing import NDArray

from bmretriever_integrations.evaluation.systems.bm25 import K1, STOP_WORDS, WORD, B
from bmretriever_integrations.training.negatives.miner import Found
from bmretriever_integrations.training.negatives.pool import Query


class Bm25Miner:
    """
    BM25 with the settings of the evaluation and one index for each task; passages without a common word are not found.

    Memory: the index of one task (a posting of 8 bytes for each distinct word of a passage) and one query's scores
    (4 bytes a passage).
    """

    name = "bm25"

    def settings(self) -> dict[str, Any]:
        """As :meth:`Miner.settings`."""
        return {
            "miner": "bm25",
            "k1": K1,
            "b": B,
            "stop_words": len(STOP_WORDS),
            "words": WORD,
            "bm25s": bm25s.__version__,
        }

    def prepare(self, passages: Sequence[str], work: Path, progress: bool) -> None:  # noqa: ARG002  indexing takes seconds
        """As :meth:`Miner.prepare`; the index is made when a task is searched."""
        self._passages = passages
        self._reach: tuple[range, ...] = ()

    def search(self, queries: Sequence[Query], reach: Sequence[range], depth: int) -> Found:
        """As :meth:`Miner.search`."""
        if self._reach != tuple(reach):
            self._index_passages(tuple(reach))
        rows = np.full((len(queries), depth), -1, np.int32)
        scores = np.full((len(queries), depth), -np.inf, np.float32)
        positives: list[float] = []
        words = self._tokenizer.streaming_tokenize((q.text for q in queries), update_vocab=False, allow_empty=False)
        for n, (query, ids) in enumerate(zip(queries, words, strict=True)):
            known = (
                self._index.get_scores_from_ids(ids) if ids and self._index else np.zeros(len(self._rows), np.float32)
            )
            best = _best(known, depth)
            rows[n, : len(best)], scores[n, : len(best)] = self._rows[best], known[best]
            positives += known[np.searchsorted(self._rows, query.positives)].tolist()
        return Found(rows, scores, np.array(positives, np.float32))

    def _index_passages(self, reach: tuple[range, ...]) -> None:
        self._tokenizer = Tokenizer(splitter=WORD, stopwords=list(STOP_WORDS), stemmer=Stemmer.Stemmer("porter"))
        self._rows = np.concatenate([np.arange(part.start, part.stop, dtype=np.int32) for part in reach])
        texts = (self._passages[row] for row in self._rows)
        documents = list(self._tokenizer.streaming_tokenize(texts, update_vocab=True, allow_empty=False))
        self._index = bm25s.BM25(k1=K1, b=B, method="lucene") if self._tokenizer.stem_to_sid else None
        if self._index:
            self._index.index((documents, dict(self._tokenizer.stem_to_sid)), show_progress=False)
        self._reach = reach


def _best(scores: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Find the positions of the highest scores above 0; equal scores stay in their order."""
    found = np.flatnonzero(scores > 0)
    if len(found) > depth:
        least = np.partition(scores[found], -depth)[-depth]
        found = found[scores[found] >= least]
    return found[np.argsort(-scores[found], kind="stable")][:depth]
