"""Let one thread at a time compute, in the order in which the threads arrive."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")


class FairLock:
    """
    A lock that is given to the thread that has waited longest. A thread that has just released it must wait behind all others.

    Ctrl-C may raise KeyboardInterrupt between any two steps of the main thread, also in a ``finally`` block. So a thread leaves
    the line twice, of which the second time does nothing, unless the first was interrupted.
    """

    def __init__(self) -> None:
        self._line: deque[threading.Lock] = deque()

    def run(self, work: Callable[[], Result]) -> Result:
        """
        Wait until the work of all earlier threads is done, and do this thread's work. It is not reentrant.

        :param work: the work.
        :returns: what ``work`` returns.
        """
        place = threading.Lock()
        try:
            place.acquire()
            self._line.append(place)
            while self._line[0] is not place:
                place.acquire()  # the thread before this one releases it
            return work()
        finally:
            try:
                self._leave(place)
            finally:
                self._leave(place)

    def _leave(self, place: threading.Lock) -> None:
        with suppress(ValueError):  # it is not in the line
            self._line.remove(place)
        with suppress(IndexError, RuntimeError):  # nobody waits, or the first one knows already
            self._line[0].release()
