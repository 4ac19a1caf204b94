"""The fusion of :mod:`.fusion` for LanceDB's own hybrid search. To import this module needs LanceDB."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa
from lancedb.rerankers import Reranker
from numpy.typing import NDArray

from bmretriever_integrations.index.search.fusion import SHARE, fuse


class MinMaxReranker(Reranker):  # type: ignore[misc]  # LanceDB has no types here
    """
    Fuses the two sides of LanceDB's hybrid search as :meth:`~bmretriever_integrations.index.SearchIndex.search` does.

    LanceDB takes as many candidates of each side as ``limit`` says: ask for :data:`~.fusion.CANDIDATES` and keep the first ones.
    It brings the scores to 0 to 1 before it calls a reranker, but a side whose scores are all equal to 0. Here this is done
    again, so that such a side gets 1, and tables with plain distances and scores give the same.
    """

    def __init__(self, share: float = SHARE, return_score: Literal["relevance", "all"] = "relevance") -> None:
        """
        :param share: the share of the vectors in a fused score, 0 to 1.
        :param return_score: "all" keeps the distances and the scores of both sides beside the fused score.
        :raises ValueError: if one of them is out of its range.
        """
        super().__init__(return_score)
        if not 0 <= share <= 1:
            raise ValueError(f"share must be between 0 and 1, got {share}")
        self._share = share

    def rerank_hybrid(self, query: str, vector_results: pa.Table, fts_results: pa.Table) -> pa.Table:  # noqa: ARG002  LanceDB's
        """
        Fuse the two results.

        :param query: not used.
        :param vector_results: with ``_rowid`` and ``_distance``; less is better.
        :param fts_results: with ``_rowid`` and ``_score``; more is better.
        :returns: the rows of both with ``_relevance_score``, 0 to 1, best first; equal ones by ``id`` if it was selected, else in
            the table's order.
        """
        distances, scores = _numbers(vector_results, "_distance"), _numbers(fts_results, "_score")
        rows = [_numbers(side, "_rowid", np.uint64) for side in (vector_results, fts_results)]
        first, parts = fuse(rows[0], -distances, rows[1], scores, self._share)
        found = np.concatenate(rows)[first]
        sides = [
            side.drop_columns(list({"_distance", "_score"}.intersection(side.column_names)))
            for side in (vector_results, fts_results)
        ]
        table = pa.concat_tables(sides, promote_options="default").take(first)
        if self.score == "all":
            table = table.append_column("_distance", _of_rows(found, rows[0], distances))
            table = table.append_column("_score", _of_rows(found, rows[1], scores))
        table = table.append_column("_relevance_score", pa.array(parts.sum(axis=1), pa.float32()))
        ties = "id" if "id" in table.column_names else "_rowid"
        return table.sort_by([("_relevance_score", "descending"), (ties, "ascending")])


def _numbers(side: pa.Table, column: str, dtype: type = np.float32) -> NDArray[Any]:
    """Read a column, which LanceDB leaves out of an empty result."""
    return side.column(column).to_numpy().astype(dtype) if side.num_rows else np.empty(0, dtype)


def _of_rows(found: NDArray[Any], rows: NDArray[Any], values: NDArray[Any]) -> pa.Array:
    """Give each found row its value; null if it is not among ``rows``."""
    known = dict(zip(rows.tolist(), values.tolist(), strict=True))
    return pa.array([known.get(row) for row in found.tolist()], pa.float32())
