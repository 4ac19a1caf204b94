"""Sends jobs to workers: each takes the next job when it is free, and the jobs of a lost worker go to the others."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Protocol

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.parallel.fair_queue import FairQueue, QueuedJob
from bmretriever_integrations.parallel.jobs import Facts

SLOTS = 2
"""How many jobs a worker has at a time: it tokenizes one while its device computes the other."""


class WorkersLost(ChildProcessError):
    """No worker is left; the message says how each ended."""


class WorkerLost(Exception):
    """A worker ended before its job was done; the message says how."""


class Worker(Protocol):
    """One engine elsewhere: a process of this machine, or a Ray actor."""

    name: str

    def load(self) -> Facts:
        """
        Wait until its model is loaded.

        :raises Exception: the engine's own, where it cannot be loaded.
        :raises WorkerLost: if it ended.
        """

    def do(self, queued: QueuedJob) -> Vectors:
        """
        Do a job; called from :data:`SLOTS` threads at a time.

        :param queued: the job; its progress is reported to it.
        :returns: *Shape:* (n, width) float32
        :raises WorkerLost: if it ended meanwhile.
        """

    def replace(self) -> bool:
        """Start the worker again after it ended; called from :data:`SLOTS` threads at a time. False if it stays lost."""

    def close(self) -> None:
        """End it, whatever it is doing."""


class Dispatcher:
    """Gives queued jobs to workers. Workers share no lock, so one that dies does not stop the others."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        """
        Load all models, at the same time.

        :param workers: at least one.
        :raises Exception: the first error of a worker that could not load its model; no worker is left then.
        """
        self.workers = list(workers)
        self.lost: list[str] = []
        """How each lost worker ended; the list grows while the dispatcher works."""
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
                self.close()  # else the threads would wait for the others' models
                if isinstance(error, WorkerLost):
                    raise WorkersLost(f"{error}, while it loaded the model") from None
                raise
            return [one.result() for one in loading]

    @property
    def alive(self) -> int:
        """Workers that still work."""
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
                if not self._goes_on(number, str(loss)):
                    return
            except BaseException as error:
                queued.result.set_exception(error)
            del queued  # this thread may wait for hours: it must not keep the last job's vectors

    def _goes_on(self, number: int, loss: str) -> bool:
        with self._lock:
            if self._closed:
                return False
            if loss not in self.lost:  # each of the worker's threads sees it
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
        """End all workers; jobs under way are dropped. Closing twice does nothing."""
        with self._lock:
            self._closed = True
        self._queue.end(RuntimeError("these workers are closed; make new ones"))
        for worker in self.workers:
            worker.close()
