"""The bar of a long run: records, rate, and a real ETA though nobody knows how many records there are."""

from __future__ import annotations

import threading

from tqdm import tqdm

from bmretriever_integrations.corpus.records import CorpusReport


class RecordBar:
    """Shown on a terminal only."""

    def __init__(self, shown: bool, limit: int | None) -> None:
        """
        :param shown: False shows nothing, ever.
        :param limit: most records that will come, if the caller set a limit.
        """
        self._limit = limit
        self._lock = threading.Lock()
        self._bar = tqdm(unit=" records", desc="indexing", disable=None if shown else True, total=limit, smoothing=0.05)

    def expect(self, corpus: CorpusReport) -> None:
        """
        Work the total out from how far the sources' bytes are read.

        :param corpus: what the reading came upon so far.
        """
        if corpus.share_read > 0:
            total = round(corpus.records / corpus.share_read)
            self._bar.total = total if self._limit is None else min(total, self._limit)

    def found(self, records: int) -> None:
        """
        Count records that an earlier run embedded; they do not count for the rate.

        :param records: how many.
        """
        if self._bar.disable:  # such a bar has no start to move
            return
        with self._lock:
            self._bar.initial += records
            self._bar.n += records
            self._bar.refresh()

    def embedded(self, records: int) -> None:
        """
        Count records embedded just now; may be called from any thread.

        :param records: how many; fewer than none where a lost worker's are embedded again.
        """
        with self._lock:
            self._bar.update(records)

    def close(self) -> None:
        """Leave the bar's last line standing."""
        self._bar.close()
