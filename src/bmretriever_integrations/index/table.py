"""Open and create the LanceDB table of an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from bmretriever_integrations.index.places.database import connect
from bmretriever_integrations.index.places.where import Where, place_of
from bmretriever_integrations.index.schema import LISTS, VectorType, schema
from bmretriever_integrations.index.search.full_text import full_text_index

TABLE = "records"
FILES = f"{TABLE}.lance"
"""The folder of the table inside an index."""
OLD_VERSIONS = timedelta(hours=1)
"""Versions that are older than this are deleted. A search that began on one of them would fail."""

INDEXED_LISTS = tuple(column for column in LISTS if column not in ("authors", "keywords"))
"""Columns of lists with an index. It is written anew in each run; with 100,000 different words, that takes many seconds."""
IDS_AT_ONCE = 4096
"""Ids in one condition."""
ARTICLES_AT_ONCE = 64
"""Articles in one condition."""


def open_table(folder: Where) -> Any | None:
    """
    Open the table of an index.

    :param folder: the index.
    :returns: the LanceDB table, or None if there is none yet.
    """
    place = place_of(folder)
    # a stopped run may have made the folders alone
    begun = any(name.endswith(".manifest") for name, _bytes in place.files(f"{FILES}/_versions"))
    return connect(place).open_table(TABLE) if begun else None


def create_table(folder: Where, width: int, vector_type: VectorType) -> Any:
    """
    Create the table, or open the one that a stopped run created, with the indices that filters and full text use.

    ``optimize`` keeps the indices up to date.

    :param folder: the index.
    :param width: the length of a vector.
    :param vector_type: the number type of the stored vectors.
    """
    place = place_of(folder)
    database = connect(place)
    from lancedb.index import Bitmap, BTree, LabelList

    wanted = {"words": full_text_index()}
    wanted |= {column: BTree() for column in ("id", "first_day", "last_day", "year")}
    wanted |= {column: Bitmap() for column in ("retracted", "journal")}
    wanted |= {column: LabelList() for column in (*INDEXED_LISTS, "labels")}
    table = open_table(place)
    if table is None:  # an empty table is false, too
        table = database.create_table(TABLE, schema=schema(width, vector_type))
    there = {column for index in table.list_indices() for column in index.columns}
    for column, config in wanted.items():
        if column not in there:
            table.create_index(column, config=config)
    return table


def ids_condition(ids: Iterable[str]) -> str:
    """
    Return the SQL that is true of the rows of some ids.

    :param ids: at least one, of any characters.
    """
    quoted = ("'" + record_id.replace("'", "''") + "'" for record_id in ids)
    return f"id IN ({', '.join(quoted)})"


def rows_of(table: Any, ids: Sequence[str], columns: Sequence[str]) -> Any:
    """
    Look ids up.

    :param table: the LanceDB table.
    :param ids: some ids, each once; unknown ones are passed over.
    :param columns: the columns that are read beside ``id``.
    :returns: a pyarrow table, in any order.
    """
    import pyarrow as pa

    names = ["id", *columns]
    found = [
        table.search().where(ids_condition(part)).select(names).limit(len(part)).to_arrow() for part in in_parts(ids)
    ]
    return pa.concat_tables(found)


def passages_of(table: Any, articles: Sequence[str], columns: Sequence[str]) -> Iterator[Any]:
    """
    Look up all passages of some articles. Their ids begin with the article's and ``#``.

    :param table: the LanceDB table.
    :param articles: ids of articles; unknown ones are passed over.
    :param columns: the columns that are read beside ``id``.
    :returns: pyarrow tables, in any order.
    """
    quoted = [article.replace("'", "''") for article in articles]
    for start in range(0, len(quoted), ARTICLES_AT_ONCE):
        # "$" follows "#", so that the index of the ids finds the range
        ranges = (f"(id >= '{one}#' AND id < '{one}$')" for one in quoted[start : start + ARTICLES_AT_ONCE])
        yield table.search().where(" OR ".join(ranges)).select(["id", *columns]).to_arrow()


def in_parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """
    Cut ids into parts that are few enough for one condition.

    :param ids: the ids.
    """
    return (ids[start : start + IDS_AT_ONCE] for start in range(0, len(ids), IDS_AT_ONCE))


def has_old_versions(table: Any) -> bool:
    """
    Tell whether :func:`optimize` would give space back.

    :param table: the LanceDB table.
    """
    *earlier, _current = sorted(table.list_versions(), key=lambda version: version["version"])
    # LanceDB gives local times without a zone
    return any(version["timestamp"] < datetime.now() - OLD_VERSIONS for version in earlier)


def optimize(table: Any) -> None:
    """
    Join small files, bring all indices up to date, and delete old versions.

    :param table: the LanceDB table; no other process may write to it.
    """
    table.optimize(cleanup_older_than=OLD_VERSIONS)
