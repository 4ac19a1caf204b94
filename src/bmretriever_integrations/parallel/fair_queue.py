"""Who is next: one errand of each caller in turn, so that a query need not wait for the end of somebody's corpus."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future

from bmretriever_integrations.parallel.jobs import Errand, Progress, Vectors


def no_report(_texts: int) -> None:
    """
    A progress that nobody watches.

    :param _texts: how many are embedded.
    """


class Waiting:
    """An errand on its way: waiting, or with a worker."""

    def __init__(self, errand: Errand, done: Progress) -> None:
        """
        :param errand: the work.
        :param done: told as texts are embedded, from any thread.
        """
        self.errand = errand
        self.result: Future[Vectors] = Future()
        self._done, self._reported = done, 0

    def begin(self) -> bool:
        """Take it up; False if its caller has given it up meanwhile."""
        return self.result.running() or self.result.set_running_or_notify_cancel()

    def report(self, texts: int) -> None:
        """
        Count texts that are embedded.

        :param texts: how many, just now.
        """
        self._reported += texts
        self._done(texts)

    def take_back(self) -> None:
        """Uncount all: its worker was lost."""
        self._done(-self._reported)
        self._reported = 0


class Turns:
    """A queue of callers, each with a queue of errands; thread-safe."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._callers: deque[deque[Waiting]] = deque()
        self._over: BaseException | None = None

    def add(self, errands: Iterable[Waiting]) -> None:
        """
        Line up one caller's errands.

        :param errands: in their order.
        :raises BaseException: why there is nobody left to do them.
        """
        with self._change:
            if self._over is not None:
                raise self._over
            line = deque(errands)
            if line:
                self._callers.append(line)
                self._change.notify_all()

    def take(self) -> Waiting | None:
        """Wait for the next errand; None once there will be none."""
        with self._change:
            while True:
                while not self._callers and self._over is None:
                    self._change.wait()
                if self._over is not None:
                    return None
                caller = self._callers.popleft()
                waiting = caller.popleft()
                if caller:
                    self._callers.append(caller)
                if waiting.begin():
                    return waiting

    def give_back(self, waiting: Waiting) -> None:
        """
        Put an errand first, as its worker was lost.

        :param waiting: the errand.
        """
        waiting.take_back()
        with self._change:
            if self._over is None:
                self._callers.appendleft(deque([waiting]))
                self._change.notify_all()
                return
        waiting.result.set_exception(self._over)

    def end(self, reason: BaseException) -> None:
        """
        Let all who wait know that nothing more will be done. Only the first reason counts.

        :param reason: raised to every caller, now and later.
        """
        with self._change:
            if self._over is not None:
                return
            self._over = reason
            left = [waiting for caller in self._callers for waiting in caller]
            self._callers.clear()
            self._change.notify_all()
        for waiting in left:
            if waiting.begin():
                waiting.result.set_exception(reason)
