"""Count the texts that are longer than an engine's ``max_length``, and warn of them once."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Hashable

_warned: set[Hashable] = set()
_lock = threading.Lock()


class CutTextWarning(UserWarning):
    """Texts were longer than ``max_length``; what comes after it is not in their vectors."""


class CutTexts:
    """Counts the texts that one model has cut. All views of an engine share one counter, and many threads may use it."""

    def __init__(self, setting: Hashable, max_length: int) -> None:
        """
        :param setting: what the warning is given once for in a process: the model and its ``max_length``.
        :param max_length: tokens of a sequence, for the message.
        """
        self.total = 0
        """Number of texts that were cut so far. A text that occurs twice in one call counts once."""
        self._setting, self._max_length = setting, max_length
        self._lock = threading.Lock()

    def add(self, cut: int, texts: int) -> None:
        """
        Count the cut texts of one call, and warn if they are the first ones of this setting in the process.

        :param cut: number of texts that were cut.
        :param texts: number of texts in the call.
        """
        if not cut:
            return
        with self._lock:
            self.total += cut
        with _lock:
            if self._setting in _warned:
                return
            _warned.add(self._setting)
        warnings.warn(
            f"{cut:,} of {texts:,} texts have more than {self._max_length} tokens, template included: what comes after them is "
            "not in their vectors. Split long texts before embedding; docs/long-texts.md shows how. Later texts are counted in "
            "cut_texts without a warning.",
            CutTextWarning,
            stacklevel=4,
        )
