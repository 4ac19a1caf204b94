"""Share engines: callers with equal settings and weights use the same engine, which is closed when the last one releases it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bmretriever_integrations.checkpoints.fingerprint import fingerprint_on_disk
from bmretriever_integrations.encoder.forked import renew_after_fork
from bmretriever_integrations.encoder.leases import Shared
from bmretriever_integrations.settings import EncoderSettings

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder

Key = tuple[EncoderSettings, str | None]
"""The settings of an engine, and the fingerprint of its weights where they are known before they are loaded."""


def _load(key: Key) -> BMRetrieverEncoder:
    from bmretriever_integrations.encoder import BMRetrieverEncoder

    return BMRetrieverEncoder.from_settings(key[0])


_engines: Shared[Key, BMRetrieverEncoder] = Shared(_load)


class EngineLease:
    """
    One caller's use of a shared engine, until it is released or collected as garbage.

    An engine whose folder was trained again since it was loaded is not shared with new callers; those who have it keep it.
    """

    def __init__(self, settings: EncoderSettings) -> None:
        """
        Load the engine, or share it if it is already loaded.

        :param settings: the settings of the engine.
        :raises FileNotFoundError: as the engine's constructor does. After an error, the lease is released.
        """
        self.settings = settings
        self._lease = _engines.take((settings, fingerprint_on_disk(settings.model, settings.revision)))
        self.engine: BMRetrieverEncoder = self._lease.thing

    def release(self) -> None:
        """Release the engine; the last caller to do so closes it. Releasing twice does nothing."""
        self._lease.release()


def engines_open() -> int:
    """Count the shared engines in memory, so that a test or a service can see whether all were released."""
    return len(_engines)


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
