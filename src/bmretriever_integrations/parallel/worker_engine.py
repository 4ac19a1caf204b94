"""Run jobs of any token budget with the engine inside a worker."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.parallel.jobs import Job, Progress, facts_of
from bmretriever_integrations.settings import EncoderSettings

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder


class WorkerEngine:
    """Holds one model, and an engine with shared weights for each token budget. A budget that was too large stays reduced."""

    def __init__(self, settings: EncoderSettings) -> None:
        """
        Load the model.

        :param settings: the settings of the engine, with the device.
        """
        from bmretriever_integrations.encoder import BMRetrieverEncoder

        self._encoder = BMRetrieverEncoder.from_settings(settings)
        self._by_budget: dict[int, BMRetrieverEncoder] = {}
        self._lock = threading.Lock()
        self._cut_reported = 0
        self.facts = facts_of(self._encoder)

    def run(self, job: Job, done: Progress) -> Vectors:
        """
        Do a job.

        :param job: the texts to embed.
        :param done: a function that is called with the number of embedded texts.
        :returns: *Shape:* (n, width) float32
        """
        return job.run(self._with_budget(job.batch_tokens), done)

    def take_cut(self) -> int:
        """Return the number of texts that were cut since the last call of this method."""
        with self._lock:
            total = self._encoder.cut_texts
            new, self._cut_reported = total - self._cut_reported, total
            return new

    def _with_budget(self, batch_tokens: int) -> BMRetrieverEncoder:
        with self._lock:
            if batch_tokens not in self._by_budget:
                same = self._encoder.view(progress=False, max_batch_tokens=batch_tokens)
                same.max_batch_tokens = (
                    batch_tokens  # even above the first engine's budget, which depends on free memory
                )
                self._by_budget[batch_tokens] = same
            return self._by_budget[batch_tokens]
