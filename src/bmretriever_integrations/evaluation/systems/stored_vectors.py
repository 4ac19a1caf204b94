"""Search document vectors in a stored form of fewer bits, and score the best documents again with the full vectors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.evaluation.systems.ranking import SCORES_AT_ONCE, Positions, TopDocuments
from bmretriever_integrations.precision import quantize, ranges_of, restore

Stored = Literal["float32", "float16", "int8", "binary"]
STORED: tuple[Stored, ...] = get_args(Stored)


@dataclass(frozen=True, kw_only=True)
class VectorChoice:
    """
    The form in which a store would keep the documents' vectors.

    As in stores, float16 and int8 documents are compared with the full query, and binary documents with the query's signs. int8
    uses the ranges of the first block of documents (32,768 documents, or the whole task), as a user would take those of a sample.
    """

    precision: Stored = "float32"
    """The number type of the stored vectors."""
    rescore: int = 0
    """The number of best documents that are ranked again by the full vectors; the others follow unchanged."""

    def __post_init__(self) -> None:
        if self.precision not in STORED:
            raise ValueError(f"precision must be one of {', '.join(STORED)}, got {self.precision!r}")
        if self.rescore < 0:
            raise ValueError(f"rescore must be a number of documents, 0 for none, got {self.rescore}")
        if self.rescore and self.precision == "float32":
            raise ValueError("rescore is for float16, int8 and binary: float32 vectors are the full ones already")

    @property
    def settings(self) -> dict[str, Any]:
        """The settings for a report; nothing if the vectors are stored as float32."""
        return {} if self == VectorChoice() else {"vectors": self.precision, "rescored": self.rescore}

    def ranges(self, sample: Vectors) -> list[list[float]] | None:
        """
        Compute the ranges that int8 needs; None for other precisions.

        :param sample: a sample of vectors. *Shape:* (n, width) float32
        """
        return ranges_of(sample) if self.precision == "int8" else None

    def stored(self, vectors: Vectors, ranges: list[list[float]] | None) -> Vectors:
        """
        Convert documents' vectors to the stored form and back to float32.

        :param vectors: *Shape:* (n, width) float32
        :param ranges: the ranges of a sample, for int8.
        :returns: *Shape:* (n, width) float32
        """
        if self.precision == "float16":
            return vectors.astype(np.float16).astype(np.float32)
        return restore(quantize(vectors, self.precision, ranges), self.precision, vectors.shape[1], ranges)

    def asked(self, queries: Vectors) -> Vectors:
        """
        Convert queries' vectors to the form for the first search: the signs for binary, else the vectors themselves.

        :param queries: *Shape:* (n, width) float32
        """
        return self.stored(queries, None) if self.precision == "binary" else queries


def rank_stored(
    queries: Vectors,
    blocks: Iterable[Vectors],
    depth: int,
    left_out: Positions,
    candidates: Positions | None,
    *,
    choice: VectorChoice,
) -> list[Positions]:
    """
    Rank documents by their stored vectors, then the best ones again by the full vectors. A block is not kept after it is scored.

    :param queries: the queries' full vectors. *Shape:* (queries, width) float32
    :param blocks: the documents' full vectors, in corpus order. *Shape:* (any, width) float32 each
    :param depth: the number of documents to keep for each query.
    :param left_out: as in :class:`~bmretriever_integrations.evaluation.systems.ranking.TopDocuments`.
    :param candidates: as in :class:`~bmretriever_integrations.evaluation.systems.ranking.TopDocuments`.
    :param choice: the stored form, and the number of documents that are ranked again.
    :returns: the positions of the best documents of each query, best first; of equal scores, the earlier document is better.
    """
    top = TopDocuments(max(depth, choice.rescore), left_out, candidates)
    asked = choice.asked(queries)
    step = max(1, SCORES_AT_ONCE // max(1, len(queries)))
    first, ranges = 0, None
    for block in blocks:
        ranges = ranges or choice.ranges(block)
        for start in range(0, len(block), step):
            part = block[start : start + step]
            top.add(asked @ choice.stored(part, ranges).T, first, queries @ part.T if choice.rescore else None)
            first += len(part)
    return [row[:depth] for row in top.best(choice.rescore)]
