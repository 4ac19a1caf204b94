"""One engine for all who ask with equal settings; freed when the last one lets go."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bmretriever_integrations.settings import EncoderSettings

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder

_lock = threading.Lock()
_shelf: dict[EncoderSettings, _Entry] = {}


class _Entry:
    def __init__(self) -> None:
        self.holders = 0
        self.loading = threading.Lock()
        self.engine: BMRetrieverEncoder | None = None


class EngineLease:
    """A share in an engine. Threads that ask for the same settings at once wait for one load; other settings do not wait."""

    def __init__(self, settings: EncoderSettings) -> None:
        """
        Load the engine, or join those who already use it.

        :param settings: of the engine.
        :raises FileNotFoundError: as the engine's constructor does; nothing is kept then.
        """
        self.settings = settings
        self._held = True
        with _lock:
            entry = _shelf.setdefault(settings, _Entry())
            entry.holders += 1
        try:
            with entry.loading:
                if entry.engine is None:
                    entry.engine = settings.open()
        except BaseException:
            self.release()
            raise
        self.engine: BMRetrieverEncoder = entry.engine

    def release(self) -> None:
        """Let go; the last one to let go closes the engine. Letting go twice does nothing."""
        with _lock:
            if not self._held:
                return
            self._held = False
            entry = _shelf[self.settings]
            entry.holders -= 1
            last = entry.holders == 0
            if last:
                del _shelf[self.settings]
        if last and entry.engine is not None:
            entry.engine.close()


def engines_open() -> int:
    """Count the shared engines in memory."""
    with _lock:
        return sum(entry.engine is not None for entry in _shelf.values())
