"""Send jobs to workers. A free worker takes the next job, and the jobs of a lost worker go to the others."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Protocol

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.parallel.fair_queue import FairQueue, QueuedJob
from bmretriever_integrations.parallel.jobs import Facts

SLOTS = 2
"""The number of jobs that a worker has at a time: it tokenizes one job while its device computes another."""


class WorkersLost(ChildProcessError):
    """All workers have ended; the message says how each one ended."""


class WorkerLost(Exception):
    """A worker ended before its job was done; the message says how it ended."""


class Worker(Protocol):
    """One engine in another process: on this machine, or in a Ray actor."""

    name: str
    """The name of the worker in messages."""

    def load(self) -> Facts:
        """
        Wait until its model is loaded.

        :raises Exception: the error of the engine, if the model cannot be loaded.
        :raises WorkerLost: if the worker ended.
        """

    def do(self, queued: QueuedJob) -> Vectors:
        """
        Do a job. :data:`SLOTS` threads call this at the same time.

        :param queued: the job, which is told about the progress.
        :returns: *Shape:* (n, width) float32
        :raises WorkerLost: if the worker ended meanwhile.
        """

    def replace(self) -> bool:
        """Start the worker again after it ended; return False if it stays lost. :data:`SLOTS` threads call this at once."""

    def close(self) -> None:
        """End the worker at once, even during a job."""


class Dispatcher:
    """Gives queued jobs to workers. Workers share no lock, so a worker that ends does not stop the others."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        """
        Load the model in all workers at the same time.

        :param workers: the workers, at least one.
        :raises Exception: the first error of a worker that could not load its model. All workers are closed then.
        """
        self.workers = list(workers)
        self.lost: list[str] = []
        """A sentence for each lost worker that says how it ended. The list grows while the dispatcher works."""
        self._queue = FairQueue()
        self._lock = threading.Lock()
        self._alive = set(range(len(self.workers)))
        self._closed = False
        try:
            self.facts = self._load()
        except BaseException:
            self.close()
            raise
        for number in range(len(self.workers)):
            for _ in range(SLOTS):
                threading.Thread(target=self._serve, args=(number,), name="bmretriever-worker", daemon=True).start()

    def _load(self) -> list[Facts]:
        with ThreadPoolExecutor(len(self.workers), thread_name_prefix="bmretriever-load") as threads:
            loading = [threads.submit(worker.load) for worker in self.workers]
            try:
                for one in as_completed(loading):
                    one.result()
            except BaseException as error:
                self.close()  # else this would wait until the other workers have loaded their models
                if isinstance(error, WorkerLost):
                    raise WorkersLost(f"{error}, while it loaded the model") from None
                raise
            return [one.result() for one in loading]

    @property
    def alive(self) -> int:
        """The number of workers that have not ended."""
        with self._lock:
            return len(self._alive)

    def submit(self, jobs: Sequence[QueuedJob]) -> None:
        """
        Queue jobs; the jobs of several callers are taken alternately.

        :param jobs: the jobs of one caller. Each job gets a result or an error; a job that is cancelled in time is not started.
        :raises WorkersLost: if no worker is left.
        :raises RuntimeError: if the dispatcher was closed.
        """
        self._queue.add(jobs)

    def _serve(self, number: int) -> None:
        worker = self.workers[number]
        while (queued := self._queue.take()) is not None:
            try:
                queued.result.set_result(worker.do(queued))
            except WorkerLost as loss:
                self._queue.put_back(queued)
                if not self._continues(number, str(loss)):
                    return
            except BaseException as error:
                queued.result.set_exception(error)
            del queued  # this thread may wait for hours, and must not keep the last job's vectors in memory

    def _continues(self, number: int, loss: str) -> bool:
        """Note that a worker was lost, and try to replace it; return whether this succeeded."""
        with self._lock:
            if self._closed:
                return False
            if loss not in self.lost:  # each of the worker's threads notices the loss
                self.lost.append(loss)
        if self.workers[number].replace():
            return True
        with self._lock:
            self._alive.discard(number)
            over = not self._alive
        if over:
            self._queue.end(WorkersLost(f"no worker is left: {'; '.join(self.lost)}"))
        return False

    def close(self) -> None:
        """End all workers; unfinished jobs get an error. Closing twice does nothing."""
        with self._lock:
            self._closed = True
        self._queue.end(RuntimeError("these workers are closed; make new ones"))
        for worker in self.workers:
            worker.close()
