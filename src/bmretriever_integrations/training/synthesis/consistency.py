"""The round trip: a query is kept if a retriever finds the query's passage among all passages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Ranks = NDArray[np.int64]
PASSAGES_AT_ONCE = 8_192
"""Number of passages that are embedded and scored together."""


class RoundTripRetriever(Protocol):
    """Finds the rank of each query's own passage."""

    @property
    def name(self) -> str:
        """Name of the retriever in the report."""
        ...

    def ranks(self, queries: Sequence[str], instructions: Sequence[str], passages: Sequence[str], own: Ranks) -> Ranks:
        """
        Rank passages for every query.

        :param queries: the queries, without template.
        :param instructions: the instruction of each query.
        :param passages: the passages, title and text joined.
        :param own: position of each query's own passage. *Shape:* (queries,) int64
        :returns: rank of each query's own passage, from 1. Passages with the same score count before it, so that no query is
            kept by a retriever that gives all passages one score. *Shape:* (queries,) int64
        """
        ...


class Bm25RoundTrip:
    """Ranks by BM25 with the settings of the evaluation's baseline."""

    name = "BM25"

    def ranks(self, queries: Sequence[str], instructions: Sequence[str], passages: Sequence[str], own: Ranks) -> Ranks:  # noqa: ARG002
        """As :meth:`RoundTripRetriever.ranks`; BM25 does not use the instructions."""
        import bm25s
        import Stemmer

        from bmretriever_integrations.evaluation.systems.bm25 import K1, STOP_WORDS, WORD, B

        if not queries:
            return np.empty(0, np.int64)
        settings: dict[str, Any] = {
            "token_pattern": WORD,
            "stopwords": list(STOP_WORDS),
            "stemmer": Stemmer.Stemmer("porter"),
            "show_progress": False,
        }
        index = bm25s.BM25(k1=K1, b=B)
        index.index(bm25s.tokenize(list(passages), **settings), show_progress=False)
        words = bm25s.tokenize(list(queries), return_ids=False, **settings)
        ranks = np.empty(len(queries), np.int64)
        for row, query in enumerate(words):
            known = [word for word in query if word in index.vocab_dict]
            scores = index.get_scores(known) if known else np.zeros(len(passages), np.float32)
            ranks[row] = np.count_nonzero(scores >= scores[own[row]])
        return ranks


class DenseRoundTrip:
    """Ranks by the vectors of a dense model, exactly."""

    def __init__(self, name: str, encoder: Any) -> None:
        """
        :param name: name of the model in the report.
        :param encoder: a :class:`~bmretriever_integrations.BMRetrieverEncoder`, or a ``SentenceTransformer``, whose own
            prompts and similarity are used.
        """
        self.name = name
        self._encoder = encoder

    def ranks(self, queries: Sequence[str], instructions: Sequence[str], passages: Sequence[str], own: Ranks) -> Ranks:
        """As :meth:`RoundTripRetriever.ranks`."""
        if not queries:
            return np.empty(0, np.int64)
        asked = self._queries(queries, instructions)
        own_scores = np.einsum("ij,ij->i", asked, self._passages([passages[position] for position in own]))
        ahead = np.zeros(len(queries), np.int64)
        for start in range(0, len(passages), PASSAGES_AT_ONCE):
            scores = asked @ self._passages(passages[start : start + PASSAGES_AT_ONCE]).T
            here = (own >= start) & (own < start + scores.shape[1])
            scores[
                here, own[here] - start
            ] = -np.inf  # leave the own passage out: its score here may differ in the last bit
            ahead += np.count_nonzero(scores >= own_scores[:, None], axis=1)
        return ahead + 1

    def _queries(self, queries: Sequence[str], instructions: Sequence[str]) -> NDArray[np.float32]:
        if not hasattr(self._encoder, "encode_passages"):
            return self._unit(self._encoder.encode_query(list(queries), show_progress_bar=False))
        vectors = np.empty((len(queries), self._encoder.width), np.float32)
        for instruction in sorted(set(instructions)):
            rows = [row for row, own in enumerate(instructions) if own == instruction]
            vectors[rows] = self._encoder.encode_queries([queries[row] for row in rows], instruction)
        return vectors

    def _passages(self, passages: Sequence[str]) -> NDArray[np.float32]:
        if hasattr(self._encoder, "encode_passages"):
            vectors: NDArray[np.float32] = self._encoder.encode_passages(list(passages))
            return vectors
        return self._unit(self._encoder.encode_document(list(passages), show_progress_bar=False))

    def _unit(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        if str(self._encoder.similarity_fn_name) == "cosine":
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
        return vectors


def load_round_trip(name: str) -> RoundTripRetriever | None:
    """
    Make the retriever that a command line names.

    :param name: ``bm25``; ``none``; ``sentence-transformers:FOLDER``; or ``bmretriever:MODEL``, MODEL as the encoder takes it.
    :returns: the retriever; None for ``none``.
    :raises ValueError: if it is none of these.
    """
    kind, _, model = name.partition(":")
    if kind == "sentence-transformers" and model:
        from sentence_transformers import SentenceTransformer

        return DenseRoundTrip(model, SentenceTransformer(model))
    if kind == "bmretriever" and model:
        from bmretriever_integrations.encoder import BMRetrieverEncoder

        return DenseRoundTrip(model, BMRetrieverEncoder(model))
    if name in ("bm25", "none"):
        return Bm25RoundTrip() if name == "bm25" else None
    raise ValueError(f"round trip must be bm25, none, sentence-transformers:FOLDER or bmretriever:MODEL, got {name!r}")
