"""What an index holds, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmretriever_integrations.index.manifest import DamagedIndex
from bmretriever_integrations.index.table import open_table


@dataclass(frozen=True)
class Contents:
    """Counts of an index. All are of the last committed state."""

    records: int
    retracted: int
    """Records that are marked as retracted."""
    with_abstract: int
    """Records whose text is not empty."""
    years: tuple[int, int] | None
    """First and last year of publication; None if no record has one."""
    bytes: int
    """Size of the folder."""
    old_bytes: int
    """What of it belongs to older versions of the table, which a later run deletes."""


def contents_of(folder: Path) -> Contents:
    """
    Count what an index holds.

    :param folder: the index; if nothing was committed to it yet, all counts are 0.
    :raises DamagedIndex: if the table cannot be read.
    :raises ImportError: if LanceDB is missing.
    """
    try:
        return _counted(folder)
    except (RuntimeError, OSError, ValueError) as error:  # what LanceDB raises for files that are cut or missing
        raise DamagedIndex(
            f"the table of {folder} cannot be read; add --verify to see which files are damaged ({str(error)[:200]})"
        ) from error


def _counted(folder: Path) -> Contents:
    size = sum(path.stat().st_size for path in _files(folder))
    table = open_table(folder)
    if table is None:
        return Contents(0, 0, 0, None, size, 0)
    counted = (table.count_rows(), table.count_rows("retracted"), table.count_rows("text != ''"))
    return Contents(*counted, _years(table), size, max(0, _table_bytes(folder) - table.stats()["total_bytes"]))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _table_bytes(folder: Path) -> int:
    """Return the size of the rows and indices of all versions."""
    named = [path for path in _files(folder) if path.suffix == ".lance" or "_indices" in path.parts]
    return sum(path.stat().st_size for path in named)


def _years(table: Any) -> tuple[int, int] | None:
    import pyarrow.compute as pc

    years = table.search().select(["year"]).to_arrow()["year"]
    extremes = pc.min_max(years).as_py()
    return None if extremes["min"] is None else (extremes["min"], extremes["max"])
