"""Portions: records that are embedded together, longest last, so that few tokens are padding."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.ingest.engines import PassageEngines
from bmretriever_integrations.parallel.jobs import Progress

ON_ACCELERATOR, ON_CPU, WIDE_ON_CPU = 4096, 2048, 256
"""Records of a portion: about a minute's work at most, for a stop loses what is not committed yet."""
WIDE = 1024
"""Models of this width and more embed some records a second on a CPU, narrower ones a hundred."""
MOST_ON_CPU = 4096
"""Tokens of a batch up to which the device is taken for a CPU, which has 2,048 by itself; accelerators have up to 131,072."""
TOKENS_A_ROW = 32
"""A call takes ``batch_tokens / 32`` records: about ten batches, so that the bar still moves."""


def portion_size(width: int, batch_tokens: int) -> int:
    """
    Choose how many records are read and committed at a time. An index has one size, so that its vectors can be made again.

    :param width: the length of a vector.
    :param batch_tokens: tokens of a batch; on a CPU there are few.
    """
    if batch_tokens > MOST_ON_CPU:
        return ON_ACCELERATOR
    return WIDE_ON_CPU if width >= WIDE else ON_CPU


class Portion:
    """Records that are being embedded."""

    def __init__(
        self, engines: PassageEngines, records: Sequence[Record], batch_tokens: int, embedded: Progress
    ) -> None:
        """
        Begin to embed.

        :param engines: make the vectors.
        :param records: the records, at least one.
        :param batch_tokens: tokens of a batch.
        :param embedded: told as records are embedded, from any thread.
        """
        self._order = sorted(range(len(records)), key=lambda row: len(records[row].title) + len(records[row].text))
        rows = max(1, batch_tokens // TOKENS_A_ROW)
        parts = [[records[row] for row in self._order[start : start + rows]] for start in range(0, len(records), rows)]
        calls = tuple(([record.text for record in part], [record.title for record in part]) for part in parts)
        self._vectors: Future[Vectors] = engines.submit_passages(calls, batch_tokens, embedded)

    def vectors(self) -> Vectors:
        """
        Wait for the vectors.

        :returns: in the order of the records. *Shape:* (records, width) float32
        """
        made = self._vectors.result()
        ordered = np.empty_like(made)
        ordered[self._order] = made
        return ordered

    def cancel(self) -> None:
        """Give the portion up, if no engine has begun with it."""
        self._vectors.cancel()
