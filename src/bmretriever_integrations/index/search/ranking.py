"""The rows that one question found, in their fixed order, and which of them are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.encoder.vectors import Vectors

COLUMNS = ("id", "retracted")
"""The columns that a ranking is made of, beside scores and LanceDB's row ids."""


@dataclass(frozen=True)
class Wanted:
    """What is asked of a ranking."""

    count: int
    """Rows to show."""
    condition: str | None = None
    """SQL that every row fulfils."""
    hide_retracted: bool = True


@dataclass(frozen=True)
class Ranking:
    """Rows of one state of the table."""

    ids: NDArray[np.object_]
    rows: NDArray[np.uint64]
    """LanceDB's row ids. They are valid in one version of the table only."""
    scores: NDArray[np.float64]
    retracted: NDArray[np.bool_]
    parts: NDArray[np.float64]
    """What a fused score has from the vectors and from the words. *Shape:* (rows, 2), or (rows, 0) if the scores are not fused"""

    @classmethod
    def of(cls, rows: Any, scores: NDArray[Any]) -> Ranking:
        """
        Make a ranking of rows in any order.

        :param rows: a pyarrow table or batch with :data:`COLUMNS` and ``_rowid``.
        :param scores: one for each row. *Shape:* (rows,)
        """
        ids = np.empty(rows.num_rows, np.object_)
        ids[:] = rows.column("id").to_pylist()
        numbers = rows.column("_rowid").to_numpy(**_copied(rows))
        retracted = np.array(rows.column("retracted").to_pylist(), np.bool_)
        return cls(ids, numbers, np.asarray(scores, np.float64), retracted, np.empty((rows.num_rows, 0)))

    @classmethod
    def joined(cls, parts: Sequence[Ranking]) -> Ranking:
        """
        Put rankings behind each other, without sorting.

        :param parts: at least one; all of them fused, or none.
        """
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, chosen: NDArray[Any]) -> Ranking:
        """
        Return some of the rows.

        :param chosen: their places, or a mask.
        """
        return Ranking(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def shown(self, wanted: Wanted) -> NDArray[np.bool_]:
        """
        Tell which rows are not hidden. *Shape:* (rows,)

        :param wanted: what is asked for.
        """
        return ~self.retracted if wanted.hide_retracted else np.ones(len(self), np.bool_)

    def floor(self, wanted: Wanted) -> float:
        """
        Return the score that a further row needs to be among the shown ones: minus infinity while there are too few.

        :param wanted: what is asked for; this ranking is sorted.
        """
        places = np.flatnonzero(self.shown(wanted))
        return float(self.scores[places[wanted.count - 1]]) if len(places) >= wanted.count else -np.inf

    def settled(self, wanted: Wanted, without: str | None = None) -> Ranking:
        """
        Sort by score, equal scores by id, and keep the shown rows and every hidden row that stands among them.

        :param wanted: what is asked for.
        :param without: the id of a row that is left out.
        """
        rows = self.take(np.lexsort((self.ids, -self.scores)))
        if without is not None:
            rows = rows.take(rows.ids != without)
        shown, floor = rows.shown(wanted), rows.floor(wanted)
        return rows.take(np.where(shown, np.cumsum(shown) <= wanted.count, rows.scores >= floor))


def vectors_of(rows: Any, width: int) -> Vectors:
    """
    Read the column of vectors.

    :param rows: a pyarrow table or batch.
    :param width: the length of a vector.
    :returns: *Shape:* (rows, width) float32
    """
    column = rows.column("vector")
    flat = (column.combine_chunks() if hasattr(column, "combine_chunks") else column).flatten()
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(-1, width).astype(np.float32)


def inner_products(vectors: Vectors, question: Vectors) -> NDArray[np.float64]:
    """
    Multiply vectors with a question so that equal vectors get equal scores, wherever they stand.

    :param vectors: *Shape:* (rows, width) float32
    :param question: *Shape:* (width,) float32
    :returns: *Shape:* (rows,)
    """
    products: NDArray[np.float64] = (vectors.astype(np.float64) * question).sum(axis=1)
    return products


def _copied(rows: Any) -> dict[str, bool]:
    """A column of a table is of several pieces and always copied; that of a batch says so."""
    return {} if hasattr(rows, "combine_chunks") else {"zero_copy_only": False}
