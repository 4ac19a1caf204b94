"""Share what is costly to open: the first caller who asks for it opens it, and the last who gives it back closes it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from bmretriever_integrations.encoder.forked import renew_after_fork


class Closable(Protocol):
    """What can be shared."""

    def close(self) -> None:
        """Free its memory."""


Key = TypeVar("Key", bound=Hashable)
Thing = TypeVar("Thing", bound=Closable)


class _Entry(Generic[Thing]):
    """One shared thing, or the place of one that is being opened."""

    def __init__(self) -> None:
        self.holders = 0
        self.opening = threading.Lock()
        self.thing: Thing | None = None


class Shared(Generic[Key, Thing]):
    """
    The things of one kind that are open in this process.

    Threads that ask for the same thing wait until it is open; other threads do not wait.
    """

    def __init__(self, opener: Callable[[Key], Thing]) -> None:
        """
        :param opener: opens the thing that a key names.
        """
        self._opener = opener
        self._entries: dict[Key, _Entry[Thing]] = {}
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Replace locks in a forked process. What another thread was opening is opened again by whoever needs it."""
        self._lock = threading.Lock()
        for entry in self._entries.values():
            entry.opening = threading.Lock()

    def take(self, key: Key) -> Lease[Key, Thing]:
        """
        Open a thing, or share it if it is already open. An error in opening it is raised to this caller.

        :param key: names the thing.
        """
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            entry.holders += 1
        try:
            with entry.opening:
                if entry.thing is None:
                    entry.thing = self._opener(key)
                return Lease(self, key, entry.thing)
        except BaseException:
            self.give_back(key)
            raise

    def give_back(self, key: Key) -> None:
        """
        Count one holder less. :meth:`Lease.release` calls this once.

        :param key: names the thing.
        """
        with self._lock:
            entry = self._entries[key]
            entry.holders -= 1
            last = entry.holders == 0
            if last:
                del self._entries[key]
        if last and entry.thing is not None:
            entry.thing.close()

    def __len__(self) -> int:
        """The number of things that are open."""
        with self._lock:
            return sum(entry.thing is not None for entry in self._entries.values())


class Lease(Generic[Key, Thing]):
    """One caller's use of a shared thing, until it is released or collected as garbage."""

    def __init__(self, shared: Shared[Key, Thing], key: Key, thing: Thing) -> None:
        """Use :meth:`Shared.take`."""
        self.thing = thing
        self._shared, self._key = shared, key
        self._at_end = weakref.finalize(self, _give_back_on_a_thread, shared, key)
        self._at_end.atexit = False  # the end of the process frees all memory

    def again(self) -> Lease[Key, Thing]:
        """Take another lease of the same thing."""
        return self._shared.take(self._key)

    def release(self) -> None:
        """Give the thing back; the last caller to do so closes it. Releasing twice does nothing."""
        if self._at_end.detach() is not None:
            self._shared.give_back(self._key)


def _give_back_on_a_thread(shared: Shared[Key, Thing], key: Key) -> None:
    # The garbage collector may run while this very thread holds the lock that give_back() needs.
    threading.Thread(target=shared.give_back, args=(key,), name="bmretriever-release").start()
