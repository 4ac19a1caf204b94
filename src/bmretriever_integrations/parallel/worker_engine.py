"""A worker's engine, which does jobs of any token budget."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.parallel.jobs import Job, Progress, facts_of
from bmretriever_integrations.settings import EncoderSettings

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder


class WorkerEngine:
    """Holds one model, and a view of it for each budget, whose budget stays halved once memory was too small for it."""

    def __init__(self, settings: EncoderSettings) -> None:
        """
        Load the model.

        :param settings: with the device.
        """
        from bmretriever_integrations.encoder import BMRetrieverEncoder

        self._encoder = BMRetrieverEncoder.from_settings(settings)
        self._views: dict[int, BMRetrieverEncoder] = {}
        self._lock = threading.Lock()
        self.facts = facts_of(self._encoder)

    def run(self, job: Job, done: Progress) -> Vectors:
        """
        Do an job.

        :param job: what to embed.
        :param done: told as texts are embedded.
        :returns: *Shape:* (n, width) float32
        """
        return job.run(self._view(job.batch_tokens), done)

    def _view(self, batch_tokens: int) -> BMRetrieverEncoder:
        with self._lock:
            if batch_tokens not in self._views:
                view = self._encoder.view(progress=False, max_batch_tokens=batch_tokens)
                view.max_batch_tokens = (
                    batch_tokens  # a view alone would keep to the engine's own, which free memory decides
                )
                self._views[batch_tokens] = view
            return self._views[batch_tokens]
