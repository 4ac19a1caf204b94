"""Records -> shards. Stopped at any moment, the same call goes on and ends with the same bytes."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from bmretriever_integrations.corpus import read_corpus
from bmretriever_integrations.index import shards
from bmretriever_integrations.index.files import only_writer
from bmretriever_integrations.index.folder import clear_drafts, open_folder, write_hidden
from bmretriever_integrations.index.manifest import IndexMismatch, Manifest, package_versions, read_manifest
from bmretriever_integrations.index.progress import RecordBar
from bmretriever_integrations.index.supersession import Supersession
from bmretriever_integrations.records import CorpusReport, Record

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder

SHARD_SIZE = 2000
"""Records of a shard: a minute's work on two CPU cores, a second's on a large accelerator."""
TOKENS_A_ROW = 32
"""A call takes ``batch_tokens / 32`` records: about ten batches, so that sorting by length pays and the bar still moves."""


@dataclass
class BuildReport:
    """What a run did."""

    corpus: CorpusReport
    records: int = 0
    """In the index."""
    embedded: int = 0
    """By this run."""
    replaced: int = 0
    """Hidden, as a later record has the same id."""
    deleted: int = 0
    """Hidden, as PubMed withdrew them."""
    rebuilt: list[str] = field(default_factory=list)
    """Finished shards that were damaged: which, and how."""

    @property
    def searchable(self) -> int:
        """Records that a search can find."""
        return self.records - self.replaced - self.deleted


def build_index(
    encoder: BMRetrieverEncoder,
    sources: Sequence[str | Path],
    folder: str | Path,
    *,
    limit: int | None = None,
    shard_size: int = SHARD_SIZE,
    progress: bool = False,
) -> BuildReport:
    """
    Embed a corpus into a folder, or go on where an earlier run stopped.

    Every run reads the sources from the start and compares them with what the folder holds, so it also repairs damaged shards
    and grows an index: by a higher limit, or by sources after those it has. Memory holds one shard, and 16 bytes a record.

    :param encoder: makes the vectors; its ``max_batch_tokens`` is set to the index's.
    :param sources: see :func:`~bmretriever_integrations.corpus.read_corpus`.
    :param folder: made if it is not there.
    :param limit: index the first records only; what comes after them in the sources is not read.
    :param shard_size: records of a shard, of which one at most is lost when a run stops.
    :param progress: show a bar, if standard error is a terminal.
    :raises IndexMismatch: if the folder was made with another model, setting, or other records.
    :raises DamagedIndex: if the folder holds other files, or its manifest is damaged.
    :raises DamagedSource: if a source breaks off; finished shards stay.
    :raises BlockingIOError: if another process writes into the folder.
    :raises OSError: if the disk is full; finished shards stay.
    """
    for name, value in (("limit", limit), ("shard_size", shard_size)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    corpus = CorpusReport()
    records = islice(read_corpus(sources, corpus), limit)
    target = open_folder(Path(folder))
    with only_writer(target):
        fresh = _begin(encoder, sources, shard_size)
        manifest = read_manifest(target) or fresh
        manifest.check_same(fresh, target)
        _check_limit(manifest, limit, target)
        clear_drafts(target, len(manifest.shards))
        encoder.max_batch_tokens = manifest.batch_tokens
        bar = RecordBar(progress, limit)
        try:
            return _Builder(
                encoder=encoder, folder=target, manifest=manifest, sources=fresh.sources, corpus=corpus, bar=bar
            ).run(records)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            safe = read_manifest(target)
            raise OSError(
                f"no space left for {target}. Its {safe.records if safe else 0:,} records in finished shards are safe; make room "
                "and run the same command again."
            ) from error
        finally:
            bar.close()


def _begin(encoder: BMRetrieverEncoder, sources: Sequence[str | Path], shard_size: int) -> Manifest:
    from bmretriever_integrations.memory import CPU_TOKENS

    # by default an engine's budget follows the memory that happens to be free; on a CPU the upper bound costs little
    free_choice = encoder.settings.max_batch_tokens is None and encoder.device.type == "cpu"
    return Manifest(
        encoder=encoder.identity(),
        shard_size=shard_size,
        batch_tokens=CPU_TOKENS if free_choice else encoder.max_batch_tokens,
        sources=[{"name": Path(source).name, "bytes": Path(source).stat().st_size} for source in sources],
        versions=package_versions(),
    )


def _check_limit(manifest: Manifest, limit: int | None, folder: Path) -> None:
    if limit is not None and limit < manifest.records:
        raise IndexMismatch(
            f"{folder} holds {manifest.records:,} records; a limit of {limit:,} would drop some. Use another folder, or a limit "
            f"of {manifest.records:,} or more."
        )


class _Builder:
    """One run: each shard is kept, or embedded and written."""

    def __init__(
        self,
        *,
        encoder: BMRetrieverEncoder,
        folder: Path,
        manifest: Manifest,
        sources: list[dict[str, Any]],
        corpus: CorpusReport,
        bar: RecordBar,
    ) -> None:
        self._encoder, self._folder, self._manifest, self._bar = encoder, folder, manifest, bar
        self._sources = sources
        self._report = BuildReport(corpus)
        self._ids = Supersession()

    def run(self, records: Iterator[Record]) -> BuildReport:
        number = 0
        for chunk in _read_ahead(records, self._manifest.shard_size):
            for record in chunk:
                self._ids.add(record.id)
            self._report.records += len(chunk)
            self._bar.expect(self._report.corpus)
            content = shards.serialize(chunk)
            if self._stands(number, chunk, content):
                self._bar.found(len(chunk))
            else:
                self._put(number, shards.write_shard(self._folder, number, self._embed(chunk), content))
            number += 1
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
        damage = shards.damage(self._folder, number, shard, self._encoder.width, checksums=True)
        if damage is not None:
            self._report.rebuilt.append(f"shard {number}: {damage}")
        return damage is None

    def _embed(self, chunk: list[Record]) -> shards.Vectors:
        rows = max(1, self._manifest.batch_tokens // TOKENS_A_ROW)
        vectors = np.empty((len(chunk), self._encoder.width), np.float32)
        for start in range(0, len(chunk), rows):
            part = chunk[start : start + rows]
            vectors[start : start + rows] = self._encoder.encode_passages(
                [r.text for r in part], [r.title for r in part]
            )
            self._bar.embedded(len(part))
        self._report.embedded += len(chunk)
        return vectors

    def _put(self, number: int, shard: shards.Shard) -> None:
        self._manifest.shards[number : number + 1] = [shard]
        self._save()

    def _save(self) -> None:
        self._manifest.sources = self._sources
        self._manifest.complete, self._manifest.counts, self._manifest.hidden_sha256 = False, {}, None
        self._manifest.write(self._folder)

    def _finish(self) -> BuildReport:
        report = self._report
        replaced, deleted = self._ids.hidden(report.corpus.deleted)
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
