"""Proves on a sample that the rows of a table are those that this package makes of their records with an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bmretriever_integrations.index.manifest import IndexMismatch
from bmretriever_integrations.index.schema import VectorType, record_of, schema, table_of
from bmretriever_integrations.index.search.ranking import vectors_of

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder

SAMPLE = 64
"""Rows that are embedded again: if one row in twenty were wrong, 96 of 100 samples would show it."""
LARGEST_DIFFERENCE = 0.05
"""Of a vector that is made again, divided by its length: a cosine of .999, which another device and number type keep."""
LARGEST_QUANTIZED = 0.25
"""The same where the rows were made with quantised weights, for the engine that makes them again has them whole."""


def prove_rows(table: Any, encoder: BMRetrieverEncoder, vector_type: VectorType, *, quantized: bool) -> int:
    """
    Make a sample of the rows again and compare every column.

    :param table: the LanceDB table.
    :param encoder: the engine.
    :param vector_type: the number type of the stored vectors.
    :param quantized: whether the rows were made with quantised weights.
    :returns: the number of rows that were compared.
    :raises IndexMismatch: naming the first row that differs, and how.
    """
    columns, rows = schema(encoder.width, vector_type).names, table.count_rows()
    places = np.sort(np.random.default_rng().choice(rows, min(SAMPLE, rows), replace=False)).tolist()
    found = table.take_offsets(places).select(columns).to_arrow()
    stored, vectors = found.drop_columns(["vector"]).to_pylist(), vectors_of(found, encoder.width)
    records = [record_of(row) for row in stored]
    made = encoder.encode_passages([one.text for one in records], [one.title for one in records])
    again = table_of(records, made, [row["source"] for row in stored], vector_type).drop_columns(["vector", "other"])
    for row, other in zip(stored, again.to_pylist(), strict=True):
        if names := [name for name, value in other.items() if row[name] != value]:
            raise IndexMismatch(
                f"row {row['id']!r} of the table has another {names[0]} than this version makes of its record; write the table "
                "anew with this version"
            )
    differences = np.linalg.norm(made - vectors, axis=1) / np.linalg.norm(made, axis=1)
    worst = int(differences.argmax())
    allowed = LARGEST_QUANTIZED if quantized else LARGEST_DIFFERENCE
    if not differences[worst] <= allowed:
        raise IndexMismatch(
            f"the vector of row {stored[worst]['id']!r} differs by {differences[worst]:.0%} from what the model "
            f"makes of its text now, and {allowed:.0%} is allowed; write the table anew"
        )
    return len(stored)
