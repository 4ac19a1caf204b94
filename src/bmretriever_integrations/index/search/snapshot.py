"""The last committed state of an index, held fast while a search reads it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from bmretriever_integrations.index.manifest import NAME, DamagedIndex, Manifest, manifest_of
from bmretriever_integrations.index.places.database import check_not_forked, connect
from bmretriever_integrations.index.places.place import Place
from bmretriever_integrations.index.places.where import Where, place_of
from bmretriever_integrations.index.table import FILES, TABLE, open_table


@dataclass(frozen=True)
class Tuned:
    """The choice of ``tune``, kept as ``Manifest.tuned``."""

    nprobes: int
    """Partitions of the approximate index that are looked through."""
    refine_factor: int
    """For each row that is wanted, so many are multiplied with their stored vectors."""
    wanted: float
    """The recall that was asked for."""
    recall: float
    """The recall@10 that was measured."""
    questions: int
    """The number of questions with which it was measured."""
    rows: int
    """Rows of the table at that time."""


@dataclass(frozen=True)
class Snapshot:
    """One version of the table: what another process commits meanwhile is not seen."""

    table: Any
    """The LanceDB table."""
    manifest: Manifest
    tuned: Tuned | None
    """How the approximate index is searched; None for exactly."""


class Snapshots:
    """Opens an index, and takes a new snapshot whenever another process has committed something."""

    def __init__(self, folder: Where) -> None:
        """
        :param folder: the index.
        :raises FileNotFoundError: if there is no index.
        :raises DamagedIndex: if the manifest or the table is unreadable, or nothing was committed yet.
        """
        self._place, self._lock = place_of(folder), Lock()
        self._latest: Any = None
        self._taken: tuple[int, Hashable] | None = None
        self._snapshot: Snapshot | None = None
        self.first = self.now().manifest

    def now(self) -> Snapshot:
        """
        Return the last committed state.

        :raises RuntimeError: if this process was forked after an index was used.
        :raises FileNotFoundError: if the index was deleted meanwhile.
        """
        check_not_forked()
        with self._lock, self._place.explained():
            if self._latest is None:
                self._latest = _open(self._place)
            try:
                state = self._state()
            except RuntimeError:
                manifest_of(self._place)  # says so if there is no index any more
                raise
            if self._snapshot is None or state != self._taken:
                self._snapshot, self._taken = self._take(state[0]), state
            return self._snapshot

    def close(self) -> None:
        """Let go of the table; a later :meth:`now` opens it again."""
        with self._lock:
            self._latest = self._snapshot = self._taken = None

    def _state(self) -> tuple[int, Hashable]:
        """Tell states apart: the table's version, and when the manifest was replaced."""
        return self._latest.version, self._place.state_of(NAME)

    def _take(self, version: int) -> Snapshot:
        manifest = manifest_of(self._place)
        if self._snapshot is not None:
            manifest.check_same(self._snapshot.manifest, self._place)
        table = connect(self._place).open_table(TABLE)
        table.checkout(version)
        # An approximate index that the manifest does not name was left by a stopped `tune`: nobody knows its recall.
        has_index = any("vector" in index.columns for index in table.list_indices())
        return Snapshot(table, manifest, Tuned(**manifest.tuned) if manifest.tuned and has_index else None)


def _open(place: Place) -> Any:
    manifest = manifest_of(place)
    table = open_table(place)
    if table is None and manifest.checksums:
        raise DamagedIndex(f"{place} is damaged: its table {FILES} is missing. Restore it from a copy")
    if table is None:
        what = "index a source that has some" if manifest.complete else "run the index command that began it again"
        raise DamagedIndex(f"{place} has no records yet; {what}")
    return table
