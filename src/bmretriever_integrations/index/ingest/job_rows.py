"""Rows that a job on many machines writes: those of an index, and beside them by which engine each was made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.ingest.writing import LARGEST_ERROR, storing_error
from bmretriever_integrations.index.schema import VectorType, table_of

MADE_BY, PLACE = "made_by", "place"
JOB_COLUMNS = (MADE_BY, PLACE)
"""Columns that such rows have beside those of an index."""


@dataclass(frozen=True)
class MadeBy:
    """What made the rows of a batch."""

    encoder: dict[str, Any]
    """The engine's identity."""
    versions: dict[str, str]
    """Versions of the packages that decide a vector."""
    batch_tokens: int
    """Tokens of its batches."""
    vector_type: VectorType
    """Number type in which the vectors are stored."""
    vector_error: float
    """Largest relative error that storing made in a vector of the batch."""

    @property
    def same_in_all(self) -> dict[str, Any]:
        """What all rows of an index have in common. The name of the model may differ: its weights count."""
        versions = {f"version of {name}": version for name, version in self.versions.items()}
        engine = {name: value for name, value in self.encoder.items() if name not in ("model", "revision")}
        return {**engine, **versions, "vector_type": self.vector_type}

    def as_text(self) -> str:
        """Return what the column :data:`MADE_BY` holds."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of_text(cls, text: str) -> MadeBy:
        """
        Read what the column holds.

        :param text: the value of a row.
        :raises ValueError: if it is no such value.
        """
        try:
            return cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(f"made_by is {text[:80]!r}") from error


def job_rows(
    records: Sequence[Record], vectors: Vectors, sources: Sequence[str], places: Sequence[int | None], made_by: MadeBy
) -> Any:
    """
    Make rows that hold by which engine they were made.

    :param records: the records; several may have the same id.
    :param vectors: their vectors. *Shape:* (records, width) float32
    :param sources: the name of the source of each.
    :param places: its number in the source, if that is known.
    :param made_by: the engine; its ``vector_error`` is measured here.
    :returns: a pyarrow table with the columns of an index and :data:`JOB_COLUMNS`.
    :raises ValueError: if float16 loses too much of a vector.
    """
    import pyarrow as pa

    error = storing_error(vectors, made_by.vector_type) if len(vectors) else 0.0
    if not error <= LARGEST_ERROR:
        worst = records[int(np.abs(vectors).max(axis=1).argmax())].id
        raise ValueError(
            f"float16 loses {error:.1%} of a vector (record {worst!r}); an index allows {LARGEST_ERROR:.1%}: write the whole "
            "table with vector_type='float32'"
        )
    text = MadeBy(**{**vars(made_by), "vector_error": error}).as_text()
    rows = table_of(records, vectors, sources, made_by.vector_type)
    rows = rows.append_column(MADE_BY, pa.array([text] * len(records), pa.string()))
    return rows.append_column(PLACE, pa.array(places, pa.int64()))
