"""An engine that loads when it is first asked for, and never travels with copies and pickles."""

from __future__ import annotations

import threading
import weakref
from typing import Any

from bmretriever_integrations.encoder import BMRetrieverEncoder
from bmretriever_integrations.encoder.sharing import EngineLease
from bmretriever_integrations.settings import EncoderSettings


class LazyEngine:
    """Holds at most one lease; copies, pickles and deep copies of it are empty holders."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lease: EngineLease | None = None
        self._at_end: Any = None

    def get(self, settings: EncoderSettings) -> BMRetrieverEncoder:
        """
        Give the engine of these settings; load it if this holder has none, or one of other settings.

        :param settings: of the engine.
        :raises FileNotFoundError: if the model is nowhere to be found.
        :raises ValueError: if the settings do not fit the checkpoint.
        """
        with self._lock:
            if self._lease is None or self._lease.settings != settings:
                self._let_go()
                self._lease = EngineLease(settings)
                self._at_end = weakref.finalize(self, _release_elsewhere, self._lease)
                self._at_end.atexit = False  # the end of the process frees everything anyway
            return self._lease.engine

    def release(self) -> None:
        """Let go of the engine; the next :meth:`get` loads again. Releasing twice does nothing."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._lease is not None:
            self._at_end.detach()
            self._lease.release()
            self._lease = None

    def __reduce__(self) -> tuple[type[LazyEngine], tuple[()]]:
        return LazyEngine, ()


def _release_elsewhere(lease: EngineLease) -> None:
    # The garbage collector may come while this very thread holds the lock that release() needs.
    threading.Thread(target=lease.release, name="bmretriever-release").start()
