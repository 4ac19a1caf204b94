"""Articles whose passages are records: of an article the passages of one version stand, and no others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, MutableMapping, Sequence

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index.ingest.known import Known, article_of, is_newer
from bmretriever_integrations.index.ingest.report import BuildReport

Summed = tuple[Record, Known]


class Articles:
    """The articles of a chunk, and which of their rows go."""

    def __init__(
        self, standing: Mapping[str, Known], taken: MutableMapping[str, Summed], unfinished: str, report: BuildReport
    ) -> None:
        """
        :param standing: the rows that the chunk's ids and articles have.
        :param taken: the records that are taken so far; those that a later version of their article lacks are removed.
        :param unfinished: id of an article of which not all passages are in the chunk.
        :param report: counts what becomes of each record.
        """
        self._standing, self._taken, self._unfinished, self._report = standing, taken, unfinished, report
        self._held: defaultdict[str, dict[str, Known]] = defaultdict(dict)
        for key, row in standing.items():
            self._held[article_of(key)][key] = row
        self.gone: set[str] = set()
        """Ids of rows that go."""

    def not_older(self, records: Sequence[Summed]) -> Iterator[Summed]:
        """
        Leave out the passages of versions that are older than what is held.

        :param records: the records, those of an article behind each other. Those that are no passages are all returned.
        """
        for passages in _versions(records):
            article = passages[0][0].article
            if not article:
                yield from passages
            elif any(is_newer(passages[0][1], row) is False for row in self._held[article].values()):
                self._report.outdated += len(passages)
            else:
                self._replace(article, {record.id: known for record, known in passages})
                yield from passages

    def _replace(self, article: str, passages: dict[str, Known]) -> None:
        held = self._held[article]
        if article == self._unfinished:
            held.update(passages)
            return
        for key in held.keys() - passages.keys():
            self._report.outdated += self._taken.pop(key, None) is not None
            if key in self._standing:
                self.gone.add(key)
        self.gone -= passages.keys()
        self._held[article] = passages


def _versions(records: Sequence[Summed]) -> Iterator[list[Summed]]:
    """Give the passages of one version of an article after the other; of records that are no passages, what stands together."""
    version: list[Summed] = []
    for one in records:
        if version and (one[0].first or one[0].article != version[0][0].article):
            yield version
            version = []
        version.append(one)
    if version:
        yield version
