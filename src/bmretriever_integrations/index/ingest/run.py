"""One run over sources: read, compare, embed, commit. Each of the four has its turn while the others work."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from bmretriever_integrations.corpus.records import DamagedSource, Record
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.ingest.comparing import Choice, choose
from bmretriever_integrations.index.ingest.engines import PassageEngines
from bmretriever_integrations.index.ingest.known import Known, article_of, look_up
from bmretriever_integrations.index.ingest.one_by_one import OneByOne
from bmretriever_integrations.index.ingest.portions import Portion
from bmretriever_integrations.index.ingest.progress import RecordBar
from bmretriever_integrations.index.ingest.reading import Chunk, SourceEnd, Sources, read_ahead
from bmretriever_integrations.index.ingest.report import BuildReport
from bmretriever_integrations.index.ingest.writing import Writer

WAITING_TO_BE_WRITTEN = 2
"""Most chunks that are embedded and not yet committed."""


@dataclass
class _Step:
    """A chunk or an end of a source, between reading and its commit."""

    item: Chunk | SourceEnd
    choice: Choice = field(default_factory=Choice)
    portion: Portion | None = None


class Run:
    """Chunks are committed in the order in which they are read, so the index holds the beginning of what the sources say."""

    def __init__(self, engines: PassageEngines, writer: Writer, report: BuildReport, bar: RecordBar) -> None:
        """
        :param engines: make the vectors.
        :param writer: of the index.
        :param report: is filled.
        :param bar: shows how far the run is.
        """
        self._engines, self._writer, self._report, self._bar = engines, writer, report, bar
        self._withdrawn = dict(writer.manifest.withdrawn)  # the writer's own copy changes in another thread
        self._under_way: deque[_Step] = deque()
        self._writing: deque[tuple[_Step, Future[None]]] = deque()
        self._thread = OneByOne()

    def follow(self, sources: Sources) -> None:
        """
        Bring the index up to date.

        :param sources: what the index follows.
        :raises DamagedSource: if a source is damaged; what came before is committed.
        :raises ValueError: if there is no record.
        """
        cut_before = self._engines.cut_texts
        changed = not self._writer.manifest.complete
        try:
            size = self._writer.manifest.portion
            with closing(sources.chunks(size)) as chunks, closing(read_ahead(chunks)) as items:
                for item in items:
                    changed = True
                    self._begin(item)
                    self._hand_over(self._engines.slots - 1)
            self._hand_over(0)
            self._settle(0)
            if self._writer.table is None and not self._withdrawn:
                self._refuse_nothing()
            if changed or self._writer.has_old_versions():
                self._writer.forget_earlier(sources.seen)
                self._thread.submit(self._writer.finish).result()
        except DamagedSource:
            self._hand_over(0)
            self._settle(0)
            raise
        finally:
            for step in self._under_way:  # after an error or Ctrl-C
                if step.portion is not None:
                    step.portion.cancel()
            self._thread.close()
            self._report.cut = self._engines.cut_texts - cut_before
            self._report.records = 0 if self._writer.table is None else self._writer.table.count_rows()

    def _begin(self, item: Chunk | SourceEnd) -> None:
        step = _Step(item)
        if isinstance(item, SourceEnd):
            self._withdrawn.update({key: max(day, self._withdrawn.get(key, "")) for key, day in item.withdrawn.items()})
        else:
            self._bar.expect(self._report.corpus)
            if item.records:
                stored = self._stored([record for record, _known in item.records])
                step.choice = choose(item.records, stored, self._withdrawn, self._report, item.unfinished)
            else:
                self._report.unchanged += item.count
            self._bar.found(item.count - len(step.choice.embed))
            if step.choice.embed:
                tokens = self._writer.manifest.batch_tokens
                step.portion = Portion(self._engines, step.choice.embed, tokens, self._bar.embedded)
        self._under_way.append(step)

    def _stored(self, records: Sequence[Record]) -> dict[str, Known]:
        """Look records and their articles up in the table and among what is not committed yet, which the table will hold."""
        # first of all, for what is dropped after the look into the table would be seen in neither
        while self._writing and self._writing[0][1].done():
            self._writing.popleft()[1].result()
        articles = {record.article for record in records if record.article}
        ids = {record.id for record in records if not record.article}
        stored = look_up(self._writer.table, list(ids), list(articles))
        for step in (*(step for step, _done in self._writing), *self._under_way):
            for key in step.choice.gone:
                stored.pop(key, None)
            known = step.choice.known
            stored |= {key: known[key] for key in known if key in ids or article_of(key) in articles}
        return stored

    def _hand_over(self, most: int) -> None:
        """Give the writer the earliest steps, until no more than so many are being embedded."""
        while len(self._under_way) > most:
            step = self._under_way[0]
            vectors = None if step.portion is None else step.portion.vectors()
            self._writing.append((step, self._thread.submit(partial(self._write, step, vectors))))
            self._under_way.popleft()
            self._settle(WAITING_TO_BE_WRITTEN)

    def _settle(self, most: int) -> None:
        while len(self._writing) > most:
            self._writing.popleft()[1].result()

    def _write(self, step: _Step, vectors: Vectors | None) -> None:
        item = step.item
        if isinstance(item, SourceEnd):
            self._report.withdrawn += self._writer.end(item.source, item.read, item.withdrawn, item.after)
        elif item.records:
            self._writer.commit(step.choice, vectors, item.begun)

    def _refuse_nothing(self) -> None:
        corpus = self._report.corpus
        first = next(iter([*corpus.damaged, *corpus.examples]), "")
        raise ValueError(
            f"the sources hold no record to index; {corpus.skipped.total():,} were left out{first and f', the first: {first}'}"
        )
