"""Open and create the LanceDB table of an index."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from bmretriever_integrations.index.full_text import full_text_index
from bmretriever_integrations.index.schema import LISTS, VectorType, schema

TABLE = "records"
FILES = f"{TABLE}.lance"
"""The folder of the table inside an index."""
OLD_VERSIONS = timedelta(hours=1)
"""Versions that are older than this are deleted. A search that began on one of them would fail."""


def connect(folder: Path) -> Any:
    """
    Connect to the database of an index.

    :param folder: the index.
    :returns: a LanceDB connection whose tables always show the last committed state.
    :raises ImportError: if LanceDB is missing; the message says how to install it.
    """
    os.environ.setdefault("LANCEDB_LOG", "error")  # read when lancedb is imported; else it warns of its own defaults
    try:
        import lancedb
    except ImportError as error:
        raise ImportError(
            f"an index needs LanceDB ({error}): pip install 'bmretriever-integrations[index]'. There are wheels for Linux "
            "(x86-64, arm64), macOS (arm64) and Windows (x86-64)"
        ) from error
    return lancedb.connect(str(folder), read_consistency_interval=timedelta(0))


def open_table(folder: Path) -> Any | None:
    """
    Open the table of an index.

    :param folder: the index.
    :returns: the LanceDB table, or None if there is none yet.
    """
    return connect(folder).open_table(TABLE) if (folder / FILES).is_dir() else None


def create_table(folder: Path, width: int, vector_type: VectorType) -> Any:
    """
    Create an empty table with the indices that filters and full text use. ``optimize`` keeps them up to date.

    :param folder: the index.
    :param width: the length of a vector.
    :param vector_type: the number type of the stored vectors.
    """
    database = connect(folder)
    from lancedb.index import Bitmap, BTree, LabelList

    table = database.create_table(TABLE, schema=schema(width, vector_type))
    table.create_index("words", config=full_text_index())
    for column in ("id", "first_day", "last_day", "year"):
        table.create_index(column, config=BTree())
    for column in ("retracted", "journal"):
        table.create_index(column, config=Bitmap())
    for column in LISTS:
        table.create_index(column, config=LabelList())
    return table


def optimize(table: Any) -> None:
    """
    Join small files, bring all indices up to date, and delete old versions.

    :param table: the LanceDB table; no other process may write to it.
    """
    table.optimize(cleanup_older_than=OLD_VERSIONS)
