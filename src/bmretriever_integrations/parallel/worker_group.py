"""Use many workers as one engine. The pool of this machine and the workers of a Ray cluster have this base class."""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, NoReturn, Self

from bmretriever_integrations.encoder.cut_texts import CutTexts
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.parallel.dispatcher import SLOTS, Dispatcher, Worker
from bmretriever_integrations.parallel.fair_queue import QueuedJob
from bmretriever_integrations.parallel.jobs import Call, Facts, Job, Progress
from bmretriever_integrations.versions import OF_VECTORS, versions_of


class WorkerLostWarning(RuntimeWarning):
    """A worker ended; the other workers do its jobs."""


class WorkerGroup:
    """
    A group of workers whose engines make the same vectors.

    If a worker ends, the others do its jobs again, and a warning says so.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        """
        Load the model in all workers at the same time.

        :param workers: the workers, at least one.
        :raises Exception: the first error of a worker that could not load its model. All workers are closed then.
        :raises ValueError: if two workers would make different vectors, or if one has other package versions than this process.
        :raises WorkersLost: if a worker ended while it loaded the model.
        """
        self._warned = 0
        self._process = os.getpid()
        self.dispatcher = Dispatcher(workers)
        self._close = weakref.finalize(self, _close_at_home, self._process, self.dispatcher)
        self._facts = self._agree()
        made = self._facts.identity
        self._cut = CutTexts((made["files_sha256"], made["max_length"]), made["max_length"])
        self.width: int = self._facts.width
        self.batch_tokens: int = min(facts.batch_tokens for facts in self.dispatcher.facts)
        self.slots: int = (SLOTS + 1) * len(workers)
        """The number of jobs to submit at a time: for each worker one more than it works on, so that it need not wait."""

    def _agree(self) -> Facts:
        """Check that all workers make the same vectors, and return the facts of the first one."""
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
        Start to embed passages in one worker, for building an index. The bytes are the same as with a single engine.

        :param calls: the arguments of each call: a list of texts and a list of their titles.
        :param batch_tokens: tokens of a batch.
        :param done: a function that is called with the number of embedded texts, from any thread.
        :returns: the future vectors, in the same order. *Shape:* (n, width) float32
        :raises WorkersLost: if no worker is left.
        """
        self.check_process()
        self._warn_of_losses()
        job = Job("encode_passages", calls, batch_tokens)
        queued = QueuedJob(job, done, lambda cut: self._cut.add(cut, job.texts))
        self.dispatcher.submit([queued])
        return queued.result

    def check_process(self) -> None:
        """
        Check that this process started the workers.

        :raises RuntimeError: if it was forked from the one that did. The threads that wait for replies are not in a fork.
        """
        if os.getpid() != self._process:
            raise RuntimeError(
                f"these workers belong to process {self._process}, from which this one ({os.getpid()}) was forked: open a pool "
                "after the fork; docs/forking.md shows how"
            )

    def _warn_of_losses(self) -> None:
        for loss in self.dispatcher.lost[self._warned :]:
            self._warned += 1
            warnings.warn(f"{loss}; the others do its part", WorkerLostWarning, stacklevel=5)

    @property
    def cut_texts(self) -> int:
        """Number of texts that were longer than ``max_length`` since the workers were started."""
        return self._cut.total

    def identity(self) -> dict[str, Any]:
        """Return everything that decides the passage vectors, as plain values for a manifest; one encoder returns the same."""
        return dict(self._facts.identity)

    @property
    def at_work(self) -> str:
        """The number of workers that have not ended and the number of all workers, e.g. "1 of 2", or "closed"."""
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


def _close_at_home(process: int, dispatcher: Dispatcher) -> None:
    """Close a dispatcher, but not from a forked process: the workers are still used where they were started."""
    if os.getpid() == process:
        dispatcher.close()
