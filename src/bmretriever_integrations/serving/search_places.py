"""Places of searches: how many wait, for how many hits, and on which threads they run, so that small ones pass large ones."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from bmretriever_integrations.index.search.fusion import CANDIDATES
from bmretriever_integrations.serving.errors import overloaded
from bmretriever_integrations.serving.settings import Limits

THREADS = 4
"""Searches that read the index at the same time; LanceDB computes with several threads for each."""
LARGE = THREADS - 1
"""Large searches that are under way at the same time: one thread is left, on which a small one waits for none of them."""
SMALL_HITS = 5 * CANDIDATES
"""A request for more hits is large. Five questions with the usual ``top_k`` and whatever an agent asks for are small."""
RETRY_SMALL, RETRY_LARGE = 1, 5
"""Seconds after which to come again: a small search takes a fraction of a second, a batch of 10,000 hits several seconds."""
Result = TypeVar("Result")


def cost(questions: int, top_k: int) -> int:
    """
    Return the hits that a request counts for. A question for few of them reads :data:`CANDIDATES` records all the same.

    :param questions: how many questions it has.
    :param top_k: hits of each.
    """
    return questions * max(top_k, CANDIDATES)


class Place:
    """The place of one request. Its work runs piece by piece."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        """
        :param threads: where it runs.
        """
        self._threads = threads
        self._running: Future[Any] | None = None

    async def run(self, work: Callable[[], Result]) -> Result:
        """
        Run a piece of the work on a thread, with the caller's context variables. If it waits still when the caller is cancelled,
        it is never run.

        :param work: the piece.
        """
        running = self._running = self._threads.submit(contextvars.copy_context().run, work)
        return await asyncio.wrap_future(running)

    def when_free(self, then: Callable[[], None]) -> None:
        """
        Call a function as soon as no thread works for this place: at once, unless the caller was cancelled amid a piece.

        :param then: the function; it is called in the event loop.
        """
        running, loop = self._running, asyncio.get_running_loop()
        if running is None or running.done():
            then()
            return

        def in_loop(_: Future[Any]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody counts any more
                loop.call_soon_threadsafe(then)

        running.add_done_callback(in_loop)


class SearchPlaces:
    """All places, and the threads of the searches that have one."""

    def __init__(self, limits: Limits) -> None:
        """
        :param limits: the bounds of what waits.
        """
        self._limits = limits
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="bmretriever-search")
        self._under_way = asyncio.Semaphore(LARGE)
        self.requests = 0
        """Requests that have a place."""
        self.hits = 0
        """Hits for which the large ones among them ask."""

    def close(self) -> None:
        """End the threads, after the work that they have."""
        self._threads.shutdown()

    @asynccontextmanager
    async def taken(self, hits: int = 0) -> AsyncIterator[Place]:
        """
        Keep a place within the block, and thereafter while a thread works for it. A large request waits for its turn here, while
        it holds no hits yet.

        :param hits: what the request counts for; see :func:`cost`.
        :raises ApiError: if there is no place.
        """
        hits = hits if hits > SMALL_HITS else 0
        self._check(hits)
        place, under_way = Place(self._threads), False
        self.requests += 1
        self.hits += hits
        try:
            if hits:
                under_way = await self._under_way.acquire()
            yield place
        finally:
            place.when_free(partial(self._give_back, hits, under_way))

    def _check(self, hits: int) -> None:
        if self.requests >= self._limits.searches:
            raise overloaded(f"{self.requests:,} searches are waiting already", RETRY_SMALL)
        if hits and self.hits and self.hits + hits > self._limits.hits_waiting:  # one alone always has a place
            what = (
                f"large searches for {self.hits:,} hits are waiting already, and this one, which counts for {hits:,}, would make "
                f"it more than {self._limits.hits_waiting:,}; smaller ones (fewer questions, a lower top_k) are answered"
            )
            raise overloaded(what, RETRY_LARGE)

    def _give_back(self, hits: int, under_way: bool) -> None:
        self.requests -= 1
        self.hits -= hits
        if under_way:
            self._under_way.release()
