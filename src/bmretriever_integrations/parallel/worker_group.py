"""Many engines used as one: what the pool of this machine and the workers of a Ray cluster have in common."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, NoReturn, Self

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.parallel.dispatcher import SLOTS, Dispatcher, Worker
from bmretriever_integrations.parallel.fair_queue import QueuedJob
from bmretriever_integrations.parallel.jobs import Call, Facts, Job, Progress
from bmretriever_integrations.versions import OF_VECTORS, versions_of


class WorkerLostWarning(RuntimeWarning):
    """A worker ended; the others do its jobs."""


class WorkerGroup:
    """
    WorkerGroup that make the same vectors, each with a worker of its own.

    When a worker dies, the others do its jobs again, and a warning says so.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        """
        Load all models, at the same time.

        :param workers: at least one.
        :raises Exception: the first error of a worker that could not load its model; no worker is left then.
        :raises ValueError: if two of them would make different vectors, or one has other versions of packages than this process.
        :raises WorkersLost: if a worker ended while it loaded the model.
        """
        self._warned = 0
        self.dispatcher = Dispatcher(workers)
        self._close = weakref.finalize(self, self.dispatcher.close)
        self._facts = self._agree()
        self.width: int = self._facts.width
        self.batch_tokens: int = min(facts.batch_tokens for facts in self.dispatcher.facts)
        self.slots: int = (SLOTS + 1) * len(workers)  # one more than each works on, so that none waits for the slowest

    def _agree(self) -> Facts:
        """Refuse workers that would make different vectors."""
        one, first = self.dispatcher.workers[0], self.dispatcher.facts[0]
        for worker, facts in zip(self.dispatcher.workers, self.dispatcher.facts, strict=True):
            for name, here in versions_of(OF_VECTORS).items():
                if facts.versions[name] != here:
                    self._refuse(
                        f"{worker.name} has {name} {facts.versions[name]} and this process {here}: install the same version"
                    )
            for key, value in facts.identity.items():
                if value != first.identity[key]:
                    self._refuse(
                        f"{one.name} and {worker.name} would make different vectors: {key}={first.identity[key]!r} and "
                        f"{value!r}. Name a {key} that both have, or use devices of one kind."
                    )
        return first

    def _refuse(self, why: str) -> NoReturn:
        self.close()
        raise ValueError(why)

    def submit_passages(self, calls: tuple[Call, ...], batch_tokens: int, done: Progress) -> Future[Vectors]:
        """
        Begin to embed passages with one engine, as a single engine would, to the byte; for building an index.

        :param calls: each a list of texts and a list of their titles; the engine makes one call of each.
        :param batch_tokens: tokens of a batch.
        :param done: told as texts are embedded, from any thread.
        :returns: the vectors, in order. *Shape:* (n, width) float32
        :raises WorkersLost: if no worker is left.
        """
        self._warn_of_losses()
        queued = QueuedJob(Job("encode_passages", calls, batch_tokens), done)
        self.dispatcher.submit([queued])
        return queued.result

    def _warn_of_losses(self) -> None:
        for loss in self.dispatcher.lost[self._warned :]:
            self._warned += 1
            warnings.warn(f"{loss}; the others do its part", WorkerLostWarning, stacklevel=5)

    def identity(self) -> dict[str, Any]:
        """Everything that decides these engines' passage vectors, as plain values for a manifest; equal to one encoder's."""
        return dict(self._facts.identity)

    @property
    def at_work(self) -> str:
        """How many workers there are, and how many are left."""
        return f"{self.dispatcher.alive} of {len(self.dispatcher.workers)}" if self._close.alive else "closed"

    def close(self) -> None:
        """End the workers; later calls raise RuntimeError. Closing twice does nothing."""
        self._close()
        self._warn_of_losses()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
