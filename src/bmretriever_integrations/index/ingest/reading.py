"""Sources to chunks of records, in the order and size in which they are embedded and committed."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from bmretriever_integrations.corpus.forms import states_revisions
from bmretriever_integrations.corpus.reading import read_source
from bmretriever_integrations.corpus.records import CorpusReport, DamagedSource, Record, Splitter
from bmretriever_integrations.index.ingest.known import Known, known_of
from bmretriever_integrations.index.manifest import Manifest, SourceBegun, SourceRead
from bmretriever_integrations.versions import VERSION

AHEAD = 2
"""Chunks that are read while another one is embedded."""
Item = TypeVar("Item")


@dataclass(frozen=True)
class Chunk:
    """Records that follow each other in a source."""

    begun: SourceBegun
    """How far the source is read when this chunk is in the index."""
    records: list[tuple[Record, Known]]
    """Empty if an earlier run committed them."""
    count: int
    """Number of records, committed ones included."""
    unfinished: str = ""
    """Id of the article whose passages the limit cuts off, if it does. All passages of an article are in one chunk."""


@dataclass(frozen=True)
class SourceEnd:
    """The end of what is read of a source."""

    source: SourceRead
    read: bool
    """Whether its records need not be read again: it was read to its end, or to a damage that is in the file itself."""
    withdrawn: dict[str, str]
    """Maps the ids that it withdraws to its latest revision date."""
    after: frozenset[str]
    """Names of the sources behind it that must be read again, for they win over it."""


class Sources:
    """The sources of one run, and how far they are read."""

    def __init__(
        self,
        paths: Sequence[Path],
        manifest: Manifest,
        corpus: CorpusReport,
        splitter: Splitter,
        *,
        limit: int | None,
        strict: bool,
    ) -> None:
        """
        :param paths: the sources, checked.
        :param manifest: of the index; it is not looked at again.
        :param corpus: counts what is read.
        :param splitter: cuts the sections of full texts into passages.
        :param limit: the most records; those of sources that are not read again count, too.
        :param strict: whether a damaged source is an error.
        """
        self._paths, self._corpus, self._splitter = paths, corpus, splitter
        self._left, self._strict = limit, strict
        marks = [mark for mark in manifest.sources if mark.reader == VERSION and not (strict and mark.damage)]
        self._read = {mark.sha256: mark for mark in marks}
        self._begun = manifest.begun
        self.not_read_again: list[str] = []
        """Names of the sources that were read before."""
        self.seen: dict[str, str] = {}
        """Maps the hashes of the sources that were looked at so far to their names."""
        corpus.bytes_total = sum(path.stat().st_size for path in paths)

    def chunks(self, size: int) -> Generator[Chunk | SourceEnd, None, None]:
        """
        Read, one chunk after another; a chunk has records of one source.

        :param size: records of a chunk.
        :raises DamagedSource: if a source is damaged or changes while it is read, and that is an error.
        """
        behind = False  # a source that was read now
        for place, path in enumerate(self._paths):
            if self._left == 0:
                return
            state = _state(path)  # before it is read for its hash, too
            source = describe(path)
            self.seen[source.sha256] = source.name
            # without dates of revision, the file that is named later counts where two have an id, as in a new index
            if source.sha256 in self._read and (not behind or states_revisions(path)):
                self._pass_over(source, self._read[source.sha256])
                continue
            behind, later = True, self._paths[place + 1 :]
            after = frozenset(other.name for other in later if not states_revisions(other))
            yield from self._read_one(path, source, state, size, after)

    def _pass_over(self, source: SourceRead, mark: SourceRead) -> None:
        self.not_read_again.append(source.name)
        self._corpus.bytes_total -= source.bytes
        if mark.damage:
            self._corpus.damaged.append(f"{source.name}: {mark.damage}")
        self._take(mark.records)

    def _read_one(
        self, path: Path, source: SourceRead, state: tuple[int, ...], size: int, after: frozenset[str]
    ) -> Iterator[Chunk | SourceEnd]:
        before, withdrawn = self._corpus.records, dict(self._corpus.withdrawn)
        limit = self._left
        more = None if limit is None else limit + 1  # one more tells whether there is one
        unread, lasting = False, True
        try:
            with closing(read_source(path, self._corpus, limit=more, splitter=self._splitter)) as records:
                beyond = yield from self._cut(records, limit, source, size)
                unread = beyond is not None
                for _record in records:  # none; the rest of the source is searched for withdrawals
                    pass
        except DamagedSource as error:
            if self._strict:
                raise
            lasting = not _is_of_the_disk(error)
            source = replace(source, damage=self._corpus.damaged[-1].removeprefix(f"{source.name}: "))
        self._corpus.records -= unread
        if _state(path) != state:
            self._note_change(path)
            lasting = False
        source = replace(source, records=self._corpus.records - before)
        self._take(source.records)
        learnt = {key: day for key, day in self._corpus.withdrawn.items() if withdrawn.get(key) != day}
        yield SourceEnd(source, lasting and not unread, learnt, after)

    def _cut(
        self, records: Iterator[Record], limit: int | None, source: SourceRead, size: int
    ) -> Generator[Chunk, None, Record | None]:
        """Cut records into chunks; return the first one beyond the limit. At a damage, those before it make the last chunk."""
        same = self._begun is not None and (self._begun.sha256, self._begun.reader) == (source.sha256, VERSION)
        committed = self._begun.chunks if self._begun is not None and same else 0
        taken, number, damage = islice(records, limit), 0, None
        ahead: Record | None = None
        beyond: Record | None = None
        while True:
            chunk, ahead = [] if ahead is None else [ahead], None
            try:
                for record in taken:
                    if len(chunk) >= size and not _are_of_one_article(chunk[-1], record):
                        ahead = record
                        break
                    chunk.append(record)
                else:
                    beyond = next(records, None)
            except DamagedSource as error:
                damage = error
            if chunk:
                last = chunk[-1]
                known = [] if number < committed else [(record, known_of(record)) for record in chunk]
                # a part of a chunk, or of an article, may be a whole one next time
                number += len(chunk) >= size and (ahead is not None or not last.article)
                unfinished = last.article if beyond is not None and _are_of_one_article(last, beyond) else ""
                yield Chunk(SourceBegun(source.name, source.sha256, VERSION, number), known, len(chunk), unfinished)
            if damage is not None:
                raise damage
            if ahead is None:
                return beyond

    def _note_change(self, path: Path) -> None:
        reason = f"{path.name}: it was changed while it was read; run the same command again"
        self._corpus.damaged.append(reason)
        if self._strict:
            raise DamagedSource(reason)

    def _take(self, records: int) -> None:
        if self._left is not None:
            self._left = max(0, self._left - records)


def _are_of_one_article(one: Record, other: Record) -> bool:
    return bool(one.article) and one.article == other.article


def _is_of_the_disk(error: BaseException | None) -> bool:
    """Tell an error of the system, which may be gone next time, from a damage that is in a file's content."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:  # gzip's errors have no number
            return True
        error = error.__cause__
    return False


def describe(path: Path) -> SourceRead:
    """
    Name a source by its content.

    :param path: the source.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return SourceRead(path.name, path.stat().st_size, digest, VERSION)


def _state(path: Path) -> tuple[int, ...]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns, state.st_ino


def read_ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """
    Give out items, of which :data:`AHEAD` are made in another thread while the caller works.

    :param items: what is given out.
    :returns: a generator, whose ``close`` waits for the item that is being made.
    :raises Exception: the error of ``items``, after all that came before it.
    """
    reader = ThreadPoolExecutor(1, thread_name_prefix="bmretriever-corpus")
    try:
        coming = deque(reader.submit(next, items, None) for _ in range(AHEAD))
        while (item := coming.popleft().result()) is not None:
            coming.append(reader.submit(next, items, None))
            yield item
    finally:
        reader.shutdown(cancel_futures=True)
