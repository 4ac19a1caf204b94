"""Opens a folder of shards and searches it, exactly and without loading the vectors into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index import shards
from bmretriever_integrations.index.folder import read_hidden
from bmretriever_integrations.index.manifest import NAME, DamagedIndex, IndexMismatch, Manifest, read_manifest
from bmretriever_integrations.index.nearest import nearest

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder

CHECKED_BYTES = 500_000_000
"""Up to this size an index's checksums are always compared when it is opened: half a second's work or less."""


@dataclass(frozen=True)
class Hit:
    """A record that a search found."""

    rank: int
    """Place in the list; the best hit has 1."""
    score: float
    """Inner product of the query's vector and the record's."""
    id: str
    title: str
    text: str


class SearchIndex:
    """A folder that :func:`~bmretriever_integrations.index.build_index` wrote."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.width: int = manifest.encoder["width"]
        rows = np.empty(0, np.int64)
        if manifest.hidden_sha256 is not None:
            rows = read_hidden(folder, manifest.hidden_sha256)
        self._hidden = [
            rows[(rows >= start) & (rows < start + manifest.shard_size)] - start
            for start in range(0, manifest.shard_size * len(manifest.shards), manifest.shard_size)
        ]

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = False) -> SearchIndex:
        """
        Open an index; its files' sizes and shapes are checked, and in one of up to 500 MB the checksums, too.

        :param folder: where it is.
        :param verify: compare the checksums of an index of any size.
        :raises FileNotFoundError: if there is no index.
        :raises DamagedIndex: if a file is missing or not the one that was written; says which, and what to do.
        """
        path = Path(folder)
        manifest = read_manifest(path)
        if manifest is None:
            raise FileNotFoundError(
                f"{path} holds no index (no {NAME}); make one with `bmretriever index SOURCE --to {path}`"
            )
        if not manifest.shards:
            raise DamagedIndex(f"{path} has no finished shard yet; run the index command that began it again")
        total = sum(shard.vectors_bytes + shard.records_bytes for shard in manifest.shards)
        for number, shard in enumerate(manifest.shards):
            wrong = shards.damage(path, number, shard, manifest.encoder["width"], verify or total <= CHECKED_BYTES)
            if wrong is not None:
                raise DamagedIndex(
                    f"shard {number} of {path} is damaged: {wrong}. Run the index command that made it again: it rebuilds the "
                    "damaged shards and keeps the others."
                )
        return cls(path, manifest)

    def __len__(self) -> int:
        return self.manifest.records - sum(map(len, self._hidden))

    def search(self, query: NDArray[np.float32], top_k: int = 5) -> list[Hit]:
        """
        Find the records that fit a query best.

        :param query: its vector, from the engine that :meth:`open_encoder` opens. *Shape:* (width,) float32
        :param top_k: how many; of a smaller index, all.
        :returns: the hits, best first.
        :raises ValueError: if ``top_k`` is below 1 or the vector has another width.
        """
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}")
        if query.shape != (self.width,):
            raise ValueError(f"a query of this index is one vector of width {self.width}, got shape {query.shape}")
        best: list[tuple[float, int, int]] = []
        for number, hidden in enumerate(self._hidden):
            vectors = shards.load_vectors(self.folder, number)
            # the hidden rows are found with the rest and dropped, so ask for as many more
            scores, rows = nearest(
                np.ascontiguousarray(query, np.float32), vectors, min(top_k + len(hidden), len(vectors))
            )
            shown = ~np.isin(rows, hidden)
            found = zip(scores[shown].tolist(), rows[shown].tolist(), strict=True)
            best += [(-score, number, row) for score, row in found]
            best = sorted(best)[:top_k]
        return self._hits(best)

    def _hits(self, best: list[tuple[float, int, int]]) -> list[Hit]:
        wanted: dict[int, set[int]] = {}
        for _score, number, row in best:
            wanted.setdefault(number, set()).add(row)
        records: dict[tuple[int, int], Record] = {}
        for number, rows in wanted.items():
            for row, record in enumerate(shards.load_records(self.folder, number)):
                if row in rows:
                    records[number, row] = record
        return [
            Hit(rank, -score, **{name: getattr(records[number, row], name) for name in ("id", "title", "text")})
            for rank, (score, number, row) in enumerate(best, 1)
        ]

    def entries(self) -> Iterator[tuple[Record, NDArray[np.float32]]]:
        """Give out every record that a search can find with its vector (*Shape:* (width,) float32), to fill a store with."""
        for number, hidden in enumerate(self._hidden):
            passed = set(hidden.tolist())
            pairs = zip(shards.load_records(self.folder, number), shards.load_vectors(self.folder, number), strict=True)
            yield from (pair for row, pair in enumerate(pairs) if row not in passed)

    def open_encoder(self) -> BMRetrieverEncoder:
        """
        Load the engine that made the vectors; if its weights were quantised, as they are, for that only saved time.

        :raises FileNotFoundError: if its model is not where it was.
        :raises IndexMismatch: if the model's files are others now.
        """
        from bmretriever_integrations.encoder import BMRetrieverEncoder

        made_by = self.manifest.encoder
        encoder = BMRetrieverEncoder(
            made_by["model"],
            revision=made_by["revision"],
            dtype=made_by["dtype"],
            max_length=made_by["max_length"],
            normalize=made_by["normalize"],
            truncate_dim=made_by["width"],
        )
        now = encoder.identity()["files_sha256"]
        if now != made_by["files_sha256"]:
            encoder.close()
            then = made_by["files_sha256"]
            raise IndexMismatch(
                f"the files of {made_by['model']!r} had SHA-256 {then[:16]}... when {self.folder} was made, and have "
                f"{now[:16]}... now: its vectors would not fit. Restore the model, or build the index anew."
            )
        return encoder
