"""Search in vectors of a quarter or a thirty-second of the size, then score the best documents again with larger vectors."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.precision import quantize, ranges_of, restore

__all__ = ["SmallVectors"]

Small = Literal["float16", "int8", "binary"]
Kept = Literal["float32", "float16"]


class SmallVectors:
    """
    Document vectors of few bytes, which FAISS searches exhaustively, and larger copies with which the best are scored again.

    float16 and int8 documents are compared with the full query by inner product; int8 uses the same steps as
    :func:`~bmretriever_integrations.precision.quantize`. Binary documents are compared by the number of signs that differ from
    the query's signs. That number measures roughly an angle and ignores the length, so rescoring by the inner product matters
    most there.
    """

    def __init__(
        self,
        vectors: NDArray[np.float32],
        precision: Small = "int8",
        *,
        ranges: Sequence[Sequence[float]] | None = None,
        kept: Kept | None = "float16",
    ) -> None:
        """
        Index documents.

        :param vectors: the documents' vectors. *Shape:* (n, width) float32
        :param precision: the form of the vectors that are searched: "float16", "int8" or "binary".
        :param ranges: the ranges of a sample, for int8; None takes the ranges of ``vectors``. *Shape:* (2, width)
        :param kept: the form of the copies with which the best documents are scored again: "float32" or "float16". The copies may
            be moved to a disk (see ``copies``). With None, the searched vectors are used again: for binary, their signs are
            multiplied with the full query; for float16 and int8, the score stays the same.
        :raises ValueError: if ``vectors`` has another shape or type, or if an option is unknown.
        :raises ImportError: if FAISS is missing; the message says how to install it.
        """
        if find_spec("faiss") is None:
            raise ImportError("SmallVectors searches with FAISS: pip install 'bmretriever-integrations[faiss]'")
        if vectors.ndim != 2 or not len(vectors) or vectors.dtype != np.float32:
            raise ValueError(f"vectors must be (n, width) float32, n at least 1, got {vectors.shape} {vectors.dtype}")
        for name, value, known in (("precision", precision, get_args(Small)), ("kept", kept, (*get_args(Kept), None))):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
        self.precision, self.width = precision, vectors.shape[1]
        self.copies: NDArray[Any] | None = None if kept is None else vectors.astype(kept)
        """*Shape:* (n, width). To save memory, write it to a file and assign ``numpy.load(file, mmap_mode="r")`` here."""
        self._index = _index(vectors, precision, ranges)

    @property
    def bytes_per_vector(self) -> int:
        """Bytes of one searched vector, without its copy."""
        return int(self._index.code_size)

    def search(
        self, queries: NDArray[np.float32], top_k: int = 10, rescore_multiplier: int = 4
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """
        Find the best documents of each query.

        :param queries: full vectors. *Shape:* (queries, width) float32
        :param top_k: the number of documents to return for each query.
        :param rescore_multiplier: the first search finds ``top_k`` times this many documents, which are then scored again.
        :returns: scores and row numbers, best first; equal scores are in the order of the rows. *Shape:* (queries, top_k) each,
            or fewer columns where there are fewer documents
        :raises ValueError: if the queries have another width or a number is below 1.
        """
        if queries.ndim != 2 or queries.shape[1] != self.width:
            raise ValueError(f"queries must be (n, {self.width}), as the documents are, got {queries.shape}")
        if min(top_k, rescore_multiplier) < 1:
            raise ValueError(f"top_k and rescore_multiplier must be at least 1, got {top_k} and {rescore_multiplier}")
        count = min(top_k * rescore_multiplier, self._index.ntotal)
        asked = quantize(queries, "ubinary") if self.precision == "binary" else queries
        _, rows = self._index.search(np.ascontiguousarray(asked), count)
        rows.sort(axis=1)  # so that the stable sort below puts the earlier of two equal documents first
        scores = np.stack([self._better(found) @ query for query, found in zip(queries, rows, strict=True)])
        best = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
        return np.take_along_axis(scores, best, axis=1), np.take_along_axis(rows, best, axis=1)

    def _better(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        if self.copies is not None:
            return self.copies[rows].astype(np.float32, copy=False)
        found = [self._index.reconstruct(int(row)) for row in rows]
        return restore(np.stack(found), "ubinary", self.width) if self.precision == "binary" else np.stack(found)


def _index(vectors: NDArray[np.float32], precision: Small, ranges: Sequence[Sequence[float]] | None) -> Any:
    import faiss

    width = vectors.shape[1]
    if precision == "binary":
        bits = faiss.IndexBinaryFlat(-(-width // 8) * 8)
        bits.add(quantize(vectors, "ubinary"))
        return bits
    kind = faiss.ScalarQuantizer.QT_8bit if precision == "int8" else faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexScalarQuantizer(width, kind, faiss.METRIC_INNER_PRODUCT)
    # FAISS reads each dimension's smallest and largest value from its training vectors: the two rows of the ranges
    index.train(np.ascontiguousarray(ranges_of(vectors) if ranges is None else ranges, dtype=np.float32))
    index.add(np.ascontiguousarray(vectors))
    return index
