"""Commits to the table and to the manifest, in the order that makes every moment a good one to be stopped at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.checksums import update_checksums
from bmretriever_integrations.index.ingest.comparing import Choice
from bmretriever_integrations.index.manifest import Manifest, SourceBegun, SourceRead
from bmretriever_integrations.index.places.where import Where, place_of
from bmretriever_integrations.index.schema import VectorType, schema, table_of, vector_type_of
from bmretriever_integrations.index.table import (
    create_table,
    has_old_versions,
    ids_condition,
    in_parts,
    open_table,
    optimize,
    rows_of,
)
from bmretriever_integrations.index.tune import after_update, drop_approximate_index

LARGEST_ERROR = 1e-3
"""Vectors are stored in float16, which is off by half a thousandth at most, unless they lose more in it."""
ROWS_UNTIL_OPTIMIZE = 200_000
"""New rows after which the indices are brought up to date in a long run, for rows outside of them are looked up slowly."""


class Writer:
    """The table and the manifest of an index, as they grow. Whatever is committed is whole at every moment."""

    def __init__(self, folder: Where, manifest: Manifest) -> None:
        """
        :param folder: the index, locked.
        :param manifest: its manifest, which nobody else changes.
        """
        self._folder, self.manifest = place_of(folder), manifest
        self.table = open_table(self._folder)
        self._new_rows = 0
        if self.table is not None:
            manifest.vector_type = vector_type_of(
                self.table
            )  # a stopped run may have decided it and said so nowhere else

    def _open(self) -> None:
        """Note that a run is under way, before its first change."""
        if self.manifest.complete or self.table is None:
            self.save()

    def save(self, *, complete: bool = False) -> None:
        """
        Write the manifest.

        :param complete: whether the run came to its end.
        """
        self.manifest.complete = complete
        self.manifest.write(self._folder)

    def commit(self, choice: Choice, vectors: Vectors | None, begun: SourceBegun) -> None:
        """
        Write rows in one commit, remove those in whose place they stand, then note how far their source is read.

        :param choice: the records.
        :param vectors: of those that were embedded. *Shape:* (records, width) float32
        :param begun: the source.
        """
        records = [*choice.embed, *choice.rewrite]
        self._folder.check_writer()
        if records:
            self._open()
            parts = [] if vectors is None else [vectors]
            table = self._table_for(vectors)
            if choice.rewrite:
                parts.append(_stored(table, [record.id for record in choice.rewrite]))
            known = [choice.known[record.id] for record in records]
            hashes = [(one.text_hash, one.record_hash) for one in known]
            names = [begun.name] * len(records)
            rows = table_of(records, np.concatenate(parts), names, self.manifest.vector_type, hashes)
            if choice.replaces:
                table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(rows)
            else:
                table.add(rows)
            self._new_rows += len(records)
        if choice.gone:
            self._open()
            self.delete(sorted(choice.gone))
        self.manifest.begun = begun
        self.save()
        if self._new_rows >= ROWS_UNTIL_OPTIMIZE:
            optimize(self.table)
            self._new_rows = 0

    def end(self, source: SourceRead, read: bool, withdrawn: Mapping[str, str], after: Collection[str]) -> int:
        """
        Remove what a source withdraws, then note that it was read.

        :param source: the source, whose rows are all committed.
        :param read: whether it need not be read again.
        :param withdrawn: maps ids to the date of their withdrawal.
        :param after: names of sources that count as not read from the same moment on, for a stopped run must read them, too.
        :returns: the number of rows that were removed.
        """
        known = self.manifest.withdrawn
        if self.table is None and not (known or withdrawn):
            return 0  # a source without any record is no beginning of an index
        known.update({key: max(day, known.get(key, "")) for key, day in withdrawn.items()})
        if withdrawn:
            self.save()  # before rows go, so that a stopped run does not forget it
        removed = 0
        for day in set(map(known.__getitem__, withdrawn)):
            of_day = [key for key in withdrawn if known[key] == day]
            removed += self.delete(of_day, f" AND (revised IS NULL OR revised <= '{day}')" if day else "")
        if read:
            same = (source.sha256, source.name)
            kept = [one for one in self.manifest.sources if (one.sha256, one.name) != same and one.name not in after]
            self.manifest.sources, self.manifest.begun = [*kept, source], None
        self.save()
        return removed

    def sources_of(self, ids: Sequence[str]) -> dict[str, str]:
        """
        Find the sources from which records came.

        :param ids: their ids.
        :returns: maps those that the table holds to the names of their sources.
        """
        if self.table is None:
            return {}
        rows = rows_of(self.table, ids, ["source"])
        return dict(zip(rows["id"].to_pylist(), rows["source"].to_pylist(), strict=True))

    def forget(self, sources: Iterable[str]) -> None:
        """
        Let sources count as not read, before any of their rows goes.

        :param sources: their names.
        """
        names = set(sources)
        contents = {mark.sha256 for mark in self.manifest.sources if mark.name in names}  # which have other names, too
        self.manifest.sources = [mark for mark in self.manifest.sources if mark.sha256 not in contents]
        self.manifest.begun = None
        self.save()

    def forget_earlier(self, seen: Mapping[str, str]) -> None:
        """
        Let earlier contents of files count as not read, for a file may get them back.

        :param seen: maps the hashes of the files, as they are now, to their names.
        """
        names = set(seen.values())
        marks = self.manifest.sources
        self.manifest.sources = [mark for mark in marks if mark.name not in names or mark.sha256 in seen]

    def has_old_versions(self) -> bool:
        """Tell whether there is space to be given back."""
        return self.table is not None and has_old_versions(self.table)

    def finish(self, *, complete: bool = True) -> None:
        """
        Bring the indices up to date, give space back, and list the checksums of all files.

        :param complete: whether the last run over sources came to its end.
        """
        if self.table is not None:
            self._open()  # before old files go
            optimize(self.table)
            after_update(self._folder, self.table, self.manifest)
            update_checksums(self._folder, self.manifest)
        self.save(complete=complete)

    def _table_for(self, vectors: Vectors | None) -> Any:
        """Open the table, which is created for the first vectors, and widened for the first that float16 cannot hold."""
        manifest = self.manifest
        if vectors is not None:
            error = storing_error(vectors, manifest.vector_type)
            if error > LARGEST_ERROR:
                manifest.vector_type, error = "float32", 0.0
                if self.table is not None:
                    drop_approximate_index(self._folder, self.table, manifest)  # which cannot be of another type
                    column = schema(manifest.width, "float32").field("vector").type
                    self.table.alter_columns({"path": "vector", "data_type": column})
            manifest.vector_error = max(manifest.vector_error, error)
        if self.table is None:
            self.table = create_table(self._folder, manifest.width, manifest.vector_type)
        return self.table

    def delete(self, ids: Sequence[str], condition: str = "") -> int:
        """
        Remove rows.

        :param ids: their ids; unknown ones do no harm.
        :param condition: SQL of what else must be true of them, with " AND " before it.
        :returns: the number of rows that were removed.
        """
        if self.table is None:
            return 0
        before = self.table.count_rows()
        for part in in_parts(ids):
            removed = ids_condition(part) + condition
            if self.table.count_rows(removed):  # else this would be a new version for nothing
                self.table.delete(removed)
        return int(before - self.table.count_rows())


def storing_error(vectors: Vectors, vector_type: VectorType) -> float:
    """
    Measure what is lost when vectors are stored.

    :param vectors: the vectors. *Shape:* (n, width) float32
    :param vector_type: the number type in which they are stored.
    :returns: the largest length of a difference, divided by the vector's; infinite where a value is too large for the type.
    """
    if vector_type == "float32":
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        lost = np.linalg.norm(vectors.astype(np.float16).astype(np.float32) - vectors, axis=1)
        lengths = np.maximum(np.linalg.norm(vectors, axis=1), np.finfo(np.float32).tiny)
        return float(np.nan_to_num((lost / lengths).max(), nan=np.inf))


def _stored(table: Any, ids: Sequence[str]) -> Vectors:
    """Read stored vectors, in the order of their ids."""
    rows = rows_of(table, ids, ["vector"])
    flat = rows.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = np.asarray(flat, np.float32).reshape(rows.num_rows, -1)
    place = {record_id: row for row, record_id in enumerate(rows.column("id").to_pylist())}
    return vectors[[place[record_id] for record_id in ids]]
