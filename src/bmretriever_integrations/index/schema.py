"""The columns of an index's table, and the way of a record into a row and back."""

from __future__ import annotations

import calendar
import json
from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Literal

import numpy as np

from bmretriever_integrations.corpus.metadata import NAMED, Metadata
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.filters.labels import labels_of
from bmretriever_integrations.index.search.full_text import words_of

VectorType = Literal["float16", "float32"]

TEXTS = ("date", "journal", "doi", "pmcid", "revised", "retraction_notice", "expression_of_concern")
LISTS = ("authors", "publication_types", "mesh", "mesh_major", "keywords", "languages")
METADATA = (*NAMED, "other")
"""Columns from which a record's metadata is read."""
RECORD = ("id", "title", "text", *METADATA)
"""Columns from which a record is read."""
DERIVED = ("labels", "year", "first_day", "last_day")
"""Columns that are computed from other facts, for filters."""


def schema(width: int, vector_type: VectorType) -> Any:
    """
    Return the Arrow schema of the table.

    ``words`` holds what the full text is searched in (:mod:`.search.full_text`). ``text_hash`` and ``record_hash`` tell whether
    the embedded text or anything of a record has changed. ``source`` is the name of the file from which the record was read.

    :param width: the length of a vector.
    :param vector_type: the number type of the stored vectors.
    """
    import pyarrow as pa

    text, texts, day = pa.string(), pa.list_(pa.string()), pa.date32()
    of_metadata = {name: text for name in TEXTS} | {name: texts for name in LISTS}
    of_metadata |= {"version": pa.int32(), "retracted": pa.bool_(), "other": pa.json_(pa.utf8())}
    columns = {"id": text, "title": text, "text": text, "words": text}
    columns |= {"vector": pa.list_(getattr(pa, vector_type)(), width)}
    columns |= {name: of_metadata[name] for name in METADATA}
    columns |= {"labels": texts, "year": pa.int32(), "first_day": day, "last_day": day}
    columns |= {"source": text, "text_hash": pa.int64(), "record_hash": pa.int64()}
    return pa.schema(list(columns.items()))


def vector_type_of(table: Any) -> VectorType:
    """
    Return the number type of a table's vectors.

    :param table: the LanceDB table.
    """
    return "float16" if table.schema.field("vector").type.value_type.bit_width == 16 else "float32"


def table_of(
    records: Sequence[Record],
    vectors: Vectors,
    sources: Sequence[str],
    vector_type: VectorType,
    hashes: Sequence[tuple[int, int]] | None = None,
) -> Any:
    """
    Make the rows of records.

    :param records: the records, each with another id.
    :param vectors: their vectors. *Shape:* (records, width) float32, or already in the stored type
    :param sources: the name of the source of each record.
    :param vector_type: the number type of the stored vectors.
    :param hashes: :func:`hashes_of` each record; None computes them.
    :returns: a pyarrow table with the columns of :func:`schema`.
    """
    import pyarrow as pa

    stored = np.ascontiguousarray(vectors, dtype=vector_type)
    columns = schema(stored.shape[1], vector_type)
    flat = pa.array(stored.reshape(-1))
    filled: dict[str, Any] = {"vector": pa.FixedSizeListArray.from_arrays(flat, stored.shape[1]), "source": sources}
    filled |= {name: [getattr(record, name) for record in records] for name in ("id", "title", "text")}
    filled["words"] = [words_of(record.title, record.text) for record in records]
    filled |= {name: [getattr(record.metadata, name) for record in records] for name in NAMED}
    filled["other"] = [_json(dict(record.metadata.other)) if record.metadata.other else None for record in records]
    filled["labels"] = [labels_of(record.metadata) for record in records]
    periods = [period_of(record.metadata.date) for record in records]
    filled["year"] = [None if period is None else period[0].year for period in periods]
    filled["first_day"] = [None if period is None else period[0] for period in periods]
    filled["last_day"] = [None if period is None else period[1] for period in periods]
    known = list(map(hashes_of, records)) if hashes is None else hashes
    filled["text_hash"], filled["record_hash"] = ([one[place] for one in known] for place in (0, 1))
    arrays = [
        filled[one.name]
        if one.name == "vector"
        else pa.array(filled[one.name], one.type.storage_type).cast(one.type)
        if one.name == "other"
        else pa.array(filled[one.name], one.type)
        for one in columns
    ]
    return pa.table(arrays, schema=columns)


def record_of(row: Mapping[str, Any]) -> Record:
    """
    Read a row.

    :param row: maps the columns :data:`RECORD` to plain values, as ``to_pylist`` gives them.
    """
    named = {name: row[name] for name in NAMED}
    named |= {name: tuple(row[name] or ()) for name in LISTS}
    other = row["other"]
    metadata = Metadata(**named, other=json.loads(other) if other else {})
    return Record(row["id"], row["title"], row["text"], metadata)


def period_of(day: str | None) -> tuple[date, date] | None:
    """
    Return the first and the last day that a date may mean.

    :param day: ``2015``, ``2015-03`` or ``2015-03-14``; None for no date.
    :raises ValueError: if it is no such date.
    """
    if day is None:
        return None
    year, month, of_month = ([int(part) for part in day.split("-")] + [0, 0])[:3]
    first = date(year, month or 1, of_month or 1)
    if of_month:
        return first, first
    last_month = month or 12
    return first, date(year, last_month, calendar.monthrange(year, last_month)[1])


def hashes_of(record: Record) -> tuple[int, int]:
    """
    Hash what is embedded of a record, and all of it but its id.

    :param record: the record.
    :returns: two numbers of 64 bits.
    """
    embedded = blake2b(f"{len(record.title)} {record.title}{record.text}".encode(), digest_size=8)
    whole = blake2b(embedded.digest(), digest_size=8)
    whole.update(_json([_FACTS(record.metadata), dict(record.metadata.other)]).encode())
    of_text, of_all = (int.from_bytes(one.digest(), "little", signed=True) for one in (embedded, whole))
    return of_text, of_all


_FACTS = attrgetter(*NAMED)
_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode  # json.dumps would make an encoder for each record
