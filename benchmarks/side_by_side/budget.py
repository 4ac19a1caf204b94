"""How much time is left, and what still fits into it."""

from __future__ import annotations

import time

LEAST = 20.0
"""Seconds that must be left for a case to begin. On an H200 the longest one, passages, takes about 45."""
LEAST_WITH_MODEL = 50.0
"""The same where its model has to be made, loaded by each contender and run by the reference first."""
LEAST_ROUNDS = 2
"""Contenders that sit every second round out take part once in two."""


class Budget:
    """Counts from when it is made."""

    def __init__(self, seconds: float | None) -> None:
        """
        :param seconds: for everything; None: as long as it takes.
        """
        self.seconds = seconds
        self._start = time.monotonic()
        self._model: str | None = None

    def left(self) -> float:
        """Seconds; infinite where there is no limit."""
        return float("inf") if self.seconds is None else self.seconds - (time.monotonic() - self._start)

    def begin(self, model: str) -> bool:
        """
        Tell whether a case may begin.

        :param model: short name; what it takes to make one is counted once.
        """
        if self.left() < (LEAST if model == self._model else LEAST_WITH_MODEL):
            return False
        self._model = model
        return True

    def rounds(self, wanted: int, seconds_each: float) -> int:
        """
        Tell how many rounds fit.

        :param wanted: rounds, at most.
        :param seconds_each: what one takes.
        """
        if self.seconds is None:
            return wanted
        return min(wanted, max(LEAST_ROUNDS, int(self.left() / seconds_each)))
