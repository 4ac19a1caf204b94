"""Share engines: callers with equal settings and weights use the same engine, which is closed when the last one releases it."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING

from bmretriever_integrations.checkpoints.fingerprint import fingerprint_on_disk
from bmretriever_integrations.encoder.forked import renew_after_fork
from bmretriever_integrations.settings import EncoderSettings

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder

_lock = threading.Lock()
_Key = tuple[EncoderSettings, str | None]
_engines: dict[_Key, _Entry] = {}


class _Entry:
    """One shared engine, or the place of one that is being loaded."""

    def __init__(self) -> None:
        self.holders = 0
        self.loading = threading.Lock()
        self.engine: BMRetrieverEncoder | None = None


def _renew() -> None:
    """Replace locks in a forked process. An engine that another thread was loading is loaded again by whoever needs it."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    for entry in _engines.values():
        entry.loading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


class EngineLease:
    """
    One caller's use of a shared engine, until it is released or collected as garbage.

    Threads with the same settings wait for one load; other threads do not wait. An engine whose folder was trained again since it
    was loaded is not shared with new callers; those who have it keep it.
    """

    def __init__(self, settings: EncoderSettings) -> None:
        """
        Load the engine, or share it if it is already loaded.

        :param settings: the settings of the engine.
        :raises FileNotFoundError: as the engine's constructor does. After an error, the lease is released.
        """
        self.settings = settings
        self._key: _Key = (settings, fingerprint_on_disk(settings.model, settings.revision))
        with _lock:
            entry = _engines.setdefault(self._key, _Entry())
            entry.holders += 1
        self._at_end = weakref.finalize(self, _release_on_a_thread, self._key)
        self._at_end.atexit = False  # the end of the process frees all memory
        try:
            with entry.loading:
                if entry.engine is None:
                    from bmretriever_integrations.encoder.encoder import BMRetrieverEncoder

                    entry.engine = BMRetrieverEncoder.from_settings(settings)
        except BaseException:
            self.release()
            raise
        self.engine: BMRetrieverEncoder = entry.engine

    def release(self) -> None:
        """Release the engine; the last caller to do so closes it. Releasing twice does nothing."""
        if self._at_end.detach() is not None:
            _release(self._key)


def _release(key: _Key) -> None:
    with _lock:
        entry = _engines[key]
        entry.holders -= 1
        last = entry.holders == 0
        if last:
            del _engines[key]
    if last and entry.engine is not None:
        entry.engine.close()


def _release_on_a_thread(key: _Key) -> None:
    # The garbage collector may run while this very thread holds the lock that _release() needs.
    threading.Thread(target=_release, args=(key,), name="bmretriever-release").start()


def engines_open() -> int:
    """Count the shared engines in memory, so that a test or a service can see whether all were released."""
    with _lock:
        return sum(entry.engine is not None for entry in _engines.values())


class LazyEngine:
    """Loads a shared engine at its first use and holds its lease. Copies and pickles of this object hold no lease."""

    def __init__(self) -> None:
        self.renew()
        renew_after_fork(self)
        self._lease: EngineLease | None = None

    def renew(self) -> None:
        """Replace the lock, in a process that was forked from this object's."""
        self._lock = threading.Lock()

    def get(self, settings: EncoderSettings) -> BMRetrieverEncoder:
        """
        Return the engine with these settings. It is loaded if this object holds no engine or one with other settings.

        :param settings: the settings of the engine.
        :raises FileNotFoundError: if the model is not found.
        :raises ValueError: if the settings do not fit the checkpoint.
        """
        with self._lock:
            if self._lease is None or self._lease.settings != settings:
                self._release()
                self._lease = EngineLease(settings)
            return self._lease.engine

    def fingerprint(self, settings: EncoderSettings) -> str:
        """
        Return the fingerprint of the weights with which :meth:`get` embeds now. A model that is on this machine is not loaded.

        :param settings: the settings of the engine.
        """
        with self._lock:
            if self._lease is not None and self._lease.settings == settings:
                return self._lease.engine.fingerprint
        return fingerprint_on_disk(settings.model, settings.revision) or self.get(settings).fingerprint

    def release(self) -> None:
        """Release the engine; the next :meth:`get` loads it again. Releasing twice does nothing."""
        with self._lock:
            self._release()

    def _release(self) -> None:
        lease, self._lease = self._lease, None  # first, so that Ctrl-C below leaves no lease of a closed engine
        if lease is not None:
            lease.release()

    def __reduce__(self) -> tuple[type[LazyEngine], tuple[()]]:
        return LazyEngine, ()
