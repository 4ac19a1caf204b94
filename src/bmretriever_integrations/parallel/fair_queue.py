"""Queue jobs and take them from all callers alternately, so that a query does not wait for the end of another caller's corpus."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.parallel.jobs import Job, Progress


def no_report(_texts: int) -> None:
    """
    Ignore progress, for callers that do not show it.

    :param _texts: the number of texts that were embedded.
    """


class QueuedJob:
    """A job that is waiting for a worker or being done by one."""

    def __init__(self, job: Job, done: Progress, count_cut: Callable[[int], object]) -> None:
        """
        :param job: the work.
        :param done: a function that is called with the number of embedded texts, from any thread.
        :param count_cut: a function that is called with the number of texts that the worker has cut since its last job.
        """
        self.job, self.count_cut = job, count_cut
        self.result: Future[Vectors] = Future()
        self._done, self._reported = done, 0

    def begin(self) -> bool:
        """Mark the job as started; return False if its caller has cancelled it."""
        return self.result.running() or self.result.set_running_or_notify_cancel()

    def report(self, texts: int) -> None:
        """
        Report texts that were embedded.

        :param texts: their number since the last report.
        """
        self._reported += texts
        self._done(texts)

    def take_back(self) -> None:
        """Report all its texts as not embedded, because its worker was lost."""
        self._done(-self._reported)
        self._reported = 0


class FairQueue:
    """A queue of callers, each with a queue of its jobs. Many threads may use it at the same time."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._callers: deque[deque[QueuedJob]] = deque()
        self._over: BaseException | None = None

    def add(self, jobs: Iterable[QueuedJob]) -> None:
        """
        Add one caller's jobs to the queue.

        :param jobs: the jobs, in the order in which they are to be done.
        :raises BaseException: the reason that was given to :meth:`end`.
        """
        with self._change:
            if self._over is not None:
                raise self._over
            waiting = deque(jobs)
            if waiting:
                self._callers.append(waiting)
                self._change.notify_all()

    def take(self) -> QueuedJob | None:
        """Wait for the next job and return it; return None after :meth:`end`."""
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
        Put a job back at the front of the queue, because its worker was lost.

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
        Stop the queue. All waiting jobs get the reason as their error. Later calls of this method do nothing.

        :param reason: the error that every caller gets, now and later.
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
