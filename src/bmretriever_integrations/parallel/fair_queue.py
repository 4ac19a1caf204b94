"""Which job is next: callers are served alternately, so that a query does not wait for the end of another caller's corpus."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.parallel.jobs import Job, Progress


def no_report(_texts: int) -> None:
    """
    Ignore progress, where no caller wants to know it.

    :param _texts: how many are embedded.
    """


class QueuedJob:
    """A job that is waiting for a worker or being done by one."""

    def __init__(self, job: Job, done: Progress) -> None:
        """
        :param job: the work.
        :param done: told as texts are embedded, from any thread.
        """
        self.job = job
        self.result: Future[Vectors] = Future()
        self._done, self._reported = done, 0

    def begin(self) -> bool:
        """Mark it as begun; False if its caller has cancelled it meanwhile."""
        return self.result.running() or self.result.set_running_or_notify_cancel()

    def report(self, texts: int) -> None:
        """
        Count texts that are embedded.

        :param texts: how many, just now.
        """
        self._reported += texts
        self._done(texts)

    def take_back(self) -> None:
        """Report all its texts as not embedded, since its worker was lost."""
        self._done(-self._reported)
        self._reported = 0


class FairQueue:
    """A queue of callers, each of which has a queue of jobs. It is safe to use from many threads."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._callers: deque[deque[QueuedJob]] = deque()
        self._over: BaseException | None = None

    def add(self, jobs: Iterable[QueuedJob]) -> None:
        """
        Add one caller's jobs to the queue.

        :param jobs: in their order.
        :raises BaseException: the reason that was given to :meth:`end`.
        """
        with self._change:
            if self._over is not None:
                raise self._over
            line = deque(jobs)
            if line:
                self._callers.append(line)
                self._change.notify_all()

    def take(self) -> QueuedJob | None:
        """Wait for the next job; None after :meth:`end`."""
        with self._change:
            while True:
                while not self._callers and self._over is None:
                    self._change.wait()
                if self._over is not None:
                    return None
                caller = self._callers.popleft()
                queued = caller.popleft()
                if caller:
                    self._callers.append(caller)
                if queued.begin():
                    return queued

    def put_back(self, queued: QueuedJob) -> None:
        """
        Put a job back in front, since its worker was lost.

        :param queued: the job.
        """
        queued.take_back()
        with self._change:
            if self._over is None:
                self._callers.appendleft(deque([queued]))
                self._change.notify_all()
                return
        queued.result.set_exception(self._over)

    def end(self, reason: BaseException) -> None:
        """
        Stop: all waiting jobs get the reason as their error. Only the first reason counts.

        :param reason: raised to every caller, now and later.
        """
        with self._change:
            if self._over is not None:
                return
            self._over = reason
            left = [queued for caller in self._callers for queued in caller]
            self._callers.clear()
            self._change.notify_all()
        for queued in left:
            if queued.begin():
                queued.result.set_exception(reason)
