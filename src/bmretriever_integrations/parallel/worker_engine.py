"""A worker's engine, which does errands of any token budget."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bmretriever_integrations.parallel.jobs import Errand, Progress, Vectors, facts_of
from bmretriever_integrations.settings import EncoderSettings

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder


class Engine:
    """Holds one model, and a view of it for each budget, whose budget stays halved once memory was too small for it."""

    def __init__(self, settings: EncoderSettings) -> None:
        """
        Load the model.

        :param settings: with the device.
        """
        self._encoder = settings.open()
        self._views: dict[int, BMRetrieverEncoder] = {}
        self._lock = threading.Lock()
        self.facts = facts_of(self._encoder)

    def run(self, errand: Errand, done: Progress) -> Vectors:
        """
        Do an errand.

        :param errand: what to embed.
        :param done: told as texts are embedded.
        :returns: *Shape:* (n, width) float32
        """
        return errand.run(self._view(errand.batch_tokens), done)

    def _view(self, batch_tokens: int) -> BMRetrieverEncoder:
        with self._lock:
            if batch_tokens not in self._views:
                view = self._encoder.view(progress=False, max_batch_tokens=batch_tokens)
                view.max_batch_tokens = (
                    batch_tokens  # a view alone would keep to the engine's own, which free memory decides
                )
                self._views[batch_tokens] = view
            return self._views[batch_tokens]
