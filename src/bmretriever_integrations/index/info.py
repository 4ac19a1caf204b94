"""What an index holds, and how large it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from bmretriever_integrations.index.manifest import DamagedIndex
from bmretriever_integrations.index.places.place import Place
from bmretriever_integrations.index.places.where import Where, place_of
from bmretriever_integrations.index.table import FILES, open_table


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


def contents_of(folder: Where) -> Contents:
    """
    Count what an index holds.

    :param folder: the index; if nothing was committed to it yet, all counts are 0.
    :raises DamagedIndex: if the table cannot be read.
    :raises ImportError: if LanceDB is missing.
    """
    place = place_of(folder)
    try:
        with place.explained():
            return _counted(place)
    except ConnectionError:  # the store is not reached
        raise
    except (RuntimeError, OSError, ValueError) as error:  # what LanceDB raises for files that are cut or missing
        raise DamagedIndex(
            f"the table of {place} cannot be read; add --verify to see which files are damaged ({str(error)[:200]})"
        ) from error


def _counted(place: Place) -> Contents:
    files = dict(place.files())
    size = sum(files.values())
    table = open_table(place)
    if table is None:
        return Contents(0, 0, 0, None, size, 0)
    counted = (table.count_rows(), table.count_rows("retracted"), table.count_rows("text != ''"))
    return Contents(*counted, _years(table), size, max(0, _table_bytes(files) - table.stats()["total_bytes"]))


def _table_bytes(files: Mapping[str, int]) -> int:
    """Return the size of the rows and indices of all versions."""
    of_table = {PurePosixPath(name): size for name, size in files.items() if name.startswith(f"{FILES}/")}
    return sum(size for path, size in of_table.items() if path.suffix == ".lance" or "_indices" in path.parts)


def _years(table: Any) -> tuple[int, int] | None:
    import pyarrow.compute as pc

    years = table.search().select(["year"]).to_arrow()["year"]
    extremes = pc.min_max(years).as_py()
    return None if extremes["min"] is None else (extremes["min"], extremes["max"])
