"""What is known of records without their texts, and which of two of them is the newer one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index.schema import hashes_of
from bmretriever_integrations.index.table import passages_of, rows_of

COMPARED = ("version", "revised", "text_hash", "record_hash")
"""Columns that a comparison reads."""


@dataclass(frozen=True, slots=True)
class Known:
    """A record without its texts: how new it is, and the hashes of its content."""

    version: int | None
    revised: str | None
    text_hash: int
    record_hash: int


def known_of(record: Record) -> Known:
    """
    Sum a record up.

    :param record: the record.
    """
    facts = record.metadata
    return Known(facts.version, facts.revised, *hashes_of(record))


def look_up(table: Any | None, ids: Sequence[str], articles: Sequence[str] = ()) -> dict[str, Known]:
    """
    Read what the table knows of some ids.

    :param table: the LanceDB table, or None if there is none yet.
    :param ids: the ids; each may be unknown.
    :param articles: ids of articles, of which every passage is looked up.
    """
    if table is None:
        return {}
    found = [*([rows_of(table, ids, COMPARED)] if ids else []), *passages_of(table, articles, COMPARED)]
    columns = ([value for rows in found for value in rows.column(name).to_pylist()] for name in ("id", *COMPARED))
    return {row[0]: Known(*row[1:]) for row in zip(*columns, strict=True)}


def article_of(record_id: str) -> str:
    """
    Give the id of the article of which a record is a passage: ``ARTICLE#section/number``.

    :param record_id: the record's id.
    :returns: the article's id, or "" if it is no passage, such as ``33419956#1`` of somebody's JSON lines.
    """
    article, _mark, place = record_id.rpartition("#")
    return article if "/" in place else ""


def is_newer(one: Known, other: Known) -> bool | None:
    """
    Tell which of two records of an id is the newer one: the one with the higher version, then the one revised later.

    :param one: a record.
    :param other: another one.
    :returns: True if ``one`` is newer, False if ``other`` is; None if nothing says so.
    """
    if one.version is not None and other.version is not None and one.version != other.version:
        return one.version > other.version
    if one.revised and other.revised and one.revised != other.revised:
        return one.revised > other.revised
    return None
