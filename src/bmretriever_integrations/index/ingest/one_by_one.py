"""A thread that does one thing after another."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class OneByOne:
    """Does nothing more after one thing has failed, so that no hole comes into what is written in an order."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bmretriever-writer")
        self._failed = False

    def submit(self, work: Callable[[], None]) -> Future[None]:
        """
        Let the thread do something.

        :param work: is called after all that was submitted before.
        """
        return self._thread.submit(self._do, work)

    def _do(self, work: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            work()
        except BaseException:
            self._failed = True
            raise

    def close(self) -> None:
        """Wait for what was submitted."""
        self._thread.shutdown()
