"""Rows of a table that have the same id: the newest stays, as if they had been read one after another."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from bmretriever_integrations.index.ingest.comparing import gives_way
from bmretriever_integrations.index.ingest.job_rows import PLACE
from bmretriever_integrations.index.ingest.known import COMPARED, Known
from bmretriever_integrations.index.ingest.report import BuildReport
from bmretriever_integrations.index.table import ids_condition, in_parts

ORDER = ("id", "source", PLACE, "_rowid")


def remove_doubles(table: Any, ids: Any, report: BuildReport) -> None:
    """
    Remove all but the newest row of each id.

    The newest is that of the highest version, then the one revised last. Where neither says so, it is the one whose source has
    the last name, and in that the last one: the order of files that a shell's ``*`` names.

    :param table: the LanceDB table; no other process writes to it.
    :param ids: the ids of all rows, a pyarrow array with chunks. Memory holds about 100 bytes for each.
    :param report: counts what was removed.
    """
    import pyarrow.compute as pc

    counted = pc.value_counts(ids)
    doubles = counted.filter(pc.greater(pc.struct_field(counted, "counts"), 1)).field("values").to_pylist()
    for part in in_parts(doubles):
        columns = [*ORDER[:-1], *COMPARED]
        found = table.search().where(ids_condition(part)).select(columns).with_row_id(True).limit(None).to_arrow()
        rows = sorted(found.to_pylist(), key=_place)
        removed = [
            row for _id, same in groupby(rows, key=lambda row: str(row["id"])) for row in _outdated(list(same), report)
        ]
        for few in in_parts([str(row) for row in removed]):
            table.delete(f"_rowid IN ({', '.join(few)})")


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    place = -1 if row[PLACE] is None else row[PLACE]
    return row["id"], row["source"], place, row["_rowid"]


def _outdated(rows: list[dict[str, Any]], report: BuildReport) -> list[int]:
    """Return which of the rows of an id, in their order, are not the newest."""
    standing, gone = rows[0], list[int]()
    for row in rows[1:]:
        if gives_way(_known(standing), _known(row), report):
            report.outdated += 1
            gone.append(standing["_rowid"])
            standing = row
        else:
            gone.append(row["_rowid"])
    return gone


def _known(row: dict[str, Any]) -> Known:
    return Known(*(row[name] for name in COMPARED))
