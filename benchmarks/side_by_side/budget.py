"""How much time is left, and what still fits into it."""

from __future__ import annotations

import time

LEAST = 20.0
"""Seconds that must be left for a case to begin: loading a model and warming it up take most of that."""
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

    def left(self) -> float:
        """Seconds; infinite where there is no limit."""
        return float("inf") if self.seconds is None else self.seconds - (time.monotonic() - self._start)

    @property
    def is_spent(self) -> bool:
        """Whether too little is left to begin a case."""
        return self.left() < LEAST

    def rounds(self, wanted: int, seconds_each: float) -> int:
        """
        Tell how many rounds fit.

        :param wanted: rounds, at most.
        :param seconds_each: what one takes.
        """
        if self.seconds is None:
            return wanted
        return min(wanted, max(LEAST_ROUNDS, int(self.left() / seconds_each)))
