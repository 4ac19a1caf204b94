"""In which form the document vectors are searched, and how many of those found are scored again with the full ones."""

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
    How a store would hold the documents' vectors.

    float16 and int8 documents meet the full query, binary ones its signs, as stores do. int8 takes the ranges of the first block
    of documents (32,768 of them, or the whole task), as a user takes those of a sample.
    """

    precision: Stored = "float32"
    rescore: int = 0
    """How many documents of the first search are ranked again by the full vectors; the others follow in their order."""

    def __post_init__(self) -> None:
        if self.precision not in STORED:
            raise ValueError(f"precision must be one of {', '.join(STORED)}, got {self.precision!r}")
        if self.rescore < 0:
            raise ValueError(f"rescore must be a number of documents, 0 for none, got {self.rescore}")
        if self.rescore and self.precision == "float32":
            raise ValueError("rescore is for float16, int8 and binary: float32 vectors are the full ones already")

    @property
    def settings(self) -> dict[str, Any]:
        """What a report says of it: nothing of the plain case."""
        return {} if self == VectorChoice() else {"vectors": self.precision, "rescored": self.rescore}

    def ranges(self, sample: Vectors) -> list[list[float]] | None:
        """
        Take what int8 needs to know of the vectors.

        :param sample: *Shape:* (n, width) float32
        """
        return ranges_of(sample) if self.precision == "int8" else None

    def stored(self, vectors: Vectors, ranges: list[list[float]] | None) -> Vectors:
        """
        Tell what is left of documents' vectors.

        :param vectors: *Shape:* (n, width) float32
        :param ranges: the ranges of a sample, for int8.
        :returns: *Shape:* (n, width) float32
        """
        if self.precision == "float16":
            return vectors.astype(np.float16).astype(np.float32)
        return restore(quantize(vectors, self.precision, ranges), self.precision, vectors.shape[1], ranges)

    def asked(self, queries: Vectors) -> Vectors:
        """
        Tell what is left of queries' vectors in the first search.

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
    Rank documents by what is stored of their vectors, then the best ones anew; a block is forgotten once it is scored.

    :param queries: *Shape:* (queries, width) float32
    :param blocks: the documents' full vectors, *Shape:* (any, width) float32, in corpus order.
    :param depth: how many documents to keep for a query.
    :param left_out: as in :class:`~bmretriever_integrations.evaluation.systems.ranking.TopDocuments`.
    :param candidates: the same.
    :param choice: what is stored, and how many are scored again.
    :returns: for each query the positions of its best documents, best first; ties go to the earlier document.
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
