"""Open and create the LanceDB table of an index."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

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


_used_in: int | None = None  # process id


def check_not_forked() -> None:
    """
    Refuse to go on in a process that was forked after LanceDB was used: it would crash or hang, not always but often.

    :raises RuntimeError: if it was; says what to do.
    """
    if _used_in not in (None, os.getpid()):
        raise RuntimeError(
            "this process was forked after an index was used, and LanceDB does not survive that. Open the index after the fork, "
            "e.g. in gunicorn's post_fork or celery's worker_process_init, or start processes by spawn; see docs/forking.md."
        )


def connect(folder: Path) -> Any:
    """
    Connect to the database of an index.

    :param folder: the index.
    :returns: a LanceDB connection whose tables always show the last committed state.
    :raises ImportError: if LanceDB is missing; the message says how to install it.
    :raises RuntimeError: if this process was forked after LanceDB was used.
    """
    global _used_in  # noqa: PLW0603  LanceDB's threads are those of the process
    check_not_forked()
    os.environ.setdefault("LANCEDB_LOG", "error")  # read when lancedb is imported; else it warns of its own defaults
    try:
        import lancedb
    except ImportError as error:
        raise ImportError(
            f"an index needs LanceDB ({error}): pip install 'bmretriever-integrations[index]'. There are wheels for Linux "
            "(x86-64, arm64), macOS (arm64) and Windows (x86-64)"
        ) from error
    _used_in = os.getpid()
    return lancedb.connect(str(folder), read_consistency_interval=timedelta(0))


def open_table(folder: Path) -> Any | None:
    """
    Open the table of an index.

    :param folder: the index.
    :returns: the LanceDB table, or None if there is none yet.
    """
    begun = any((folder / FILES / "_versions").glob("*.manifest"))  # a stopped run may have made the folders alone
    return connect(folder).open_table(TABLE) if begun else None


def create_table(folder: Path, width: int, vector_type: VectorType) -> Any:
    """
    Create the table, or open the one that a stopped run created, with the indices that filters and full text use.

    ``optimize`` keeps the indices up to date.

    :param folder: the index.
    :param width: the length of a vector.
    :param vector_type: the number type of the stored vectors.
    """
    database = connect(folder)
    from lancedb.index import Bitmap, BTree, LabelList

    wanted = {"words": full_text_index()}
    wanted |= {column: BTree() for column in ("id", "first_day", "last_day", "year")}
    wanted |= {column: Bitmap() for column in ("retracted", "journal")}
    wanted |= {column: LabelList() for column in (*INDEXED_LISTS, "labels")}
    table = open_table(folder)
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
