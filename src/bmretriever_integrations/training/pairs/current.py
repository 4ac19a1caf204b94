"""Which citations of PubMed files are current: not withdrawn, and the last of several versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import xxhash

from bmretriever_integrations.corpus import CorpusReport, Record, read_corpus
from bmretriever_integrations.training.pairs.duplicates import CompactSet


class Current:
    """
    Knows the withdrawn and superseded citations of some files, in about 16 bytes for each citation.

    The files are read once for it. A citation that is withdrawn in one of them is not current in any of them.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """
        :param paths: PubMed files, in the order in which they were published.
        :raises DamagedSource: if a file is damaged.
        """
        self._withdrawn: set[str] = set()
        self._last: dict[
            int, tuple[Path, int]
        ] = {}  # a repeated citation -> file and place among those of its number there
        known = CompactSet()
        for path in dict.fromkeys(paths):
            report, here = CorpusReport(), CompactSet()
            for record in read_corpus([path], report):
                number, place = _number(record), 1
                if not here.add(number):
                    former = self._last.get(number)
                    place = former[1] + 1 if former is not None and former[0] == path else 2
                if not known.add(number):
                    self._last[number] = (path, place)
            self._withdrawn.update(report.withdrawn)

    def only(self, records: Iterator[Record], path: Path) -> Iterator[Record | None]:
        """
        Tell the current citations of a file from the others.

        :param records: all citations of the file, in their order.
        :param path: the file, one of those that this was made of.
        :returns: each current citation, and None for each of the others.
        """
        seen: Counter[int] = Counter()
        for record in records:
            number = _number(record)
            last = self._last.get(number)
            if last is not None:
                seen[number] += 1
            current = record.id not in self._withdrawn and last in (None, (path, seen[number]))
            yield record if current else None


def _number(record: Record) -> int:
    return xxhash.xxh3_64_intdigest(record.id.encode("utf-8"))
