"""One run over a corpus: each shard is kept, or embedded and written, in the records' order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from bmretriever_integrations.corpus.records import CorpusReport, DamagedSource, Record
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index import shards
from bmretriever_integrations.index.engines import PassageEngines
from bmretriever_integrations.index.folder import write_hidden
from bmretriever_integrations.index.manifest import IndexMismatch, Manifest
from bmretriever_integrations.index.progress import RecordBar
from bmretriever_integrations.index.supersession import Supersession

TOKENS_A_ROW = 32
"""A call takes ``batch_tokens / 32`` records: about ten batches, so that sorting by length pays and the bar still moves."""


@dataclass
class BuildReport:
    """What a run did."""

    corpus: CorpusReport
    records: int = 0
    """Number of records in the index, hidden ones included."""
    embedded: int = 0
    """Number of records that this run embedded."""
    replaced: int = 0
    """Number of records that are hidden because a later record has the same id."""
    deleted: int = 0
    """Number of records that are hidden because PubMed withdrew them."""
    cut: int = 0
    """Number of records embedded by this run that were longer than ``max_length`` and were cut."""
    rebuilt: list[str] = field(default_factory=list)
    """The finished shards that were damaged and made again, each with its damage."""

    @property
    def searchable(self) -> int:
        """Records that a search can find."""
        return self.records - self.replaced - self.deleted


@dataclass(frozen=True)
class _Begun:
    """A shard that is being embedded."""

    number: int
    records: int
    content: bytes
    vectors: Future[Vectors]


class Builder:
    """
    Several shards may be embedded at once, each by one engine alone, so its bytes do not depend on how many engines there are.

    They are written in their order: whenever a run stops, the folder holds the first shards and no others.
    """

    def __init__(
        self,
        *,
        engines: PassageEngines,
        folder: Path,
        manifest: Manifest,
        sources: list[dict[str, Any]],
        corpus: CorpusReport,
        bar: RecordBar,
    ) -> None:
        """
        :param engines: make the vectors.
        :param folder: the index, locked.
        :param manifest: of the folder.
        :param sources: name and bytes of what this run reads.
        :param corpus: is kept up to date by who reads it.
        :param bar: shows how far it is.
        """
        self._engines, self._folder, self._manifest, self._bar = engines, folder, manifest, bar
        self._sources = sources
        self._cut_before = engines.cut_texts
        self._report = BuildReport(corpus)
        self._ids = Supersession()
        self._begun: deque[_Begun] = deque()

    def run(self, records: Iterator[Record]) -> BuildReport:
        """
        Go through all records.

        :param records: of the whole corpus, from its start.
        :returns: what was done.
        :raises IndexMismatch: if the folder holds other records.
        :raises DamagedSource: if a source breaks off; the shards before the damage are written.
        :raises ValueError: if there is no record.
        """
        number = 0
        try:
            for chunk in _read_ahead(records, self._manifest.shard_size):
                for record in chunk:
                    self._ids.add(record.id)
                self._report.records += len(chunk)
                self._bar.expect(self._report.corpus)
                content = shards.serialize(chunk)
                if self._stands(number, chunk, content):
                    self._bar.found(len(chunk))
                else:
                    self._begun.append(_Begun(number, len(chunk), content, self._embed(chunk)))
                self._put_down_to(self._engines.slots - 1)
                number += 1
            self._put_down_to(0)
        except DamagedSource:  # what was read before the damage is whole
            self._put_down_to(0)
            raise
        finally:
            for begun in self._begun:  # after an error or Ctrl-C
                begun.vectors.cancel()
        if number == 0:
            self._refuse_nothing()
        if number < len(self._manifest.shards):
            self._refuse_other(f"the sources give only {self._report.records:,} records")
        return self._finish()

    def _stands(self, number: int, chunk: list[Record], content: bytes) -> bool:
        """Whether a finished shard holds just these records, undamaged."""
        if number >= len(self._manifest.shards):
            return False
        shard = self._manifest.shards[number]
        whole = len(chunk) == shard.records
        same = content if whole else shards.serialize(chunk[: shard.records])
        if shards.sha256(same) != shard.records_sha256:
            self._refuse_other(
                f"shard {number} holds others than the sources give there, which begin with {chunk[0].id!r}"
            )
        if not whole:  # the last shard grows: from here on it counts as not yet written
            del self._manifest.shards[number:]
            self._save()
            return False
        damage = shards.damage(self._folder, number, shard, self._engines.width, checksums=True)
        if damage is not None:
            self._report.rebuilt.append(f"shard {number}: {damage}")
        return damage is None

    def _embed(self, chunk: list[Record]) -> Future[Vectors]:
        rows = max(1, self._manifest.batch_tokens // TOKENS_A_ROW)
        parts = (chunk[start : start + rows] for start in range(0, len(chunk), rows))
        calls = tuple(([record.text for record in part], [record.title for record in part]) for part in parts)
        return self._engines.submit_passages(calls, self._manifest.batch_tokens, self._bar.embedded)

    def _put_down_to(self, begun: int) -> None:
        """Write shards, the earliest first, until no more than so many are being embedded."""
        while len(self._begun) > begun:
            first = self._begun[0]
            shard = shards.write_shard(self._folder, first.number, first.vectors.result(), first.content)
            self._manifest.shards[first.number : first.number + 1] = [shard]
            self._save()
            self._report.embedded += first.records
            self._begun.popleft()

    def _save(self) -> None:
        self._manifest.sources = self._sources
        self._manifest.complete, self._manifest.counts, self._manifest.hidden_sha256 = False, {}, None
        self._manifest.write(self._folder)

    def _finish(self) -> BuildReport:
        report = self._report
        replaced, deleted = self._ids.hidden(report.corpus.deleted)
        report.cut = self._engines.cut_texts - self._cut_before
        report.replaced, report.deleted = len(replaced), len(deleted)
        self._manifest.hidden_sha256 = write_hidden(self._folder, np.sort(np.concatenate([replaced, deleted])))
        self._manifest.counts = {
            "records": report.records,
            "searchable": report.searchable,
            "replaced": report.replaced,
            "deleted": report.deleted,
            "skipped": dict(sorted(report.corpus.skipped.items())),
        }
        self._manifest.sources, self._manifest.complete = self._sources, True
        self._manifest.write(self._folder)
        return report

    def _refuse_other(self, difference: str) -> NoReturn:
        made_of, given = _names(self._manifest.sources), _names(self._sources)
        raise IndexMismatch(
            f"{self._folder} was made from other records: {difference}. It was made from {made_of}; this run reads {given}. Give "
            "the sources it was made from, in their order (more may follow), or use another folder."
        )

    def _refuse_nothing(self) -> NoReturn:
        skipped = self._report.corpus
        first = f", the first: {skipped.examples[0]}" if skipped.examples else ""
        raise ValueError(f"the sources hold no record to index; {skipped.skipped.total():,} were left out{first}")


def _read_ahead(records: Iterator[Record], shard_size: int) -> Iterator[list[Record]]:
    """Cut records into shards, each read while the caller embeds the one before."""
    with ThreadPoolExecutor(1, thread_name_prefix="bmretriever-corpus") as reader:
        following = reader.submit(lambda: list(islice(records, shard_size)))
        while chunk := following.result():
            following = reader.submit(lambda: list(islice(records, shard_size)))
            yield chunk


def _names(sources: list[dict[str, Any]]) -> str:
    return ", ".join(f"{source['name']} ({source['bytes']:,} bytes)" for source in sources)
