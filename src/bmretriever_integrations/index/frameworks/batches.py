"""Records with their vectors, in batches of what a framework's stores take."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeVar

from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder.vectors import Vectors

Made = TypeVar("Made")
BETWEEN = "; "
"""Stands between the parts of a list that becomes a text."""


def in_batches(
    entries: Iterator[tuple[Record, Vectors]],
    make: Callable[[Record, Vectors], Made],
    batch_size: int,
    plain_metadata: bool,
) -> Iterator[list[Made]]:
    """
    Turn records into the objects of a framework. One batch is in memory at a time.

    :param entries: records with their vectors.
    :param make: makes an object of one of them.
    :param batch_size: how many are given out at a time.
    :param plain_metadata: see :func:`for_store`.
    :raises ValueError: at once, if the size is not positive.
    """
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(f"batch_size must be a whole number from 1, got {batch_size!r:.100}")
    made = (make(for_store(record, plain_metadata), vector) for record, vector in entries)
    return iter(lambda: list(islice(made, batch_size)), [])


def for_store(record: Record, plain: bool) -> Record:
    """
    Add what the filters of other stores need: ``year`` as a number where the date is known, and ``retracted`` in every record.

    :param record: the record.
    :param plain: let every fact be a text, a number, or true or false. A list becomes one text with semicolons between its parts,
        and what lies deeper JSON.
    """
    facts = record.metadata.facts() | {"retracted": record.metadata.retracted}
    if record.metadata.date is not None:
        facts["year"] = int(record.metadata.date[:4])
    if plain:
        facts = {key: _plain(value) for key, value in facts.items() if value is not None}
    return Record(record.id, record.title, record.text, Metadata(other=facts))


def _plain(value: Any) -> str | int | float | bool:
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return BETWEEN.join(value)
    return json.dumps(value, ensure_ascii=False)
