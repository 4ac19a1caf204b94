"""How much time is left, and what still fits into it."""

from __future__ import annotations

import time
from collections.abc import Callable

LEAST = 20.0
"""Seconds that must be left for a case to begin, where nothing is known of it yet."""
LEAST_WITH_MODEL = 50.0
"""The same where its model has to be made, loaded by each contender and run by the reference first."""
GROWTH = 1.5
"""How much longer a case may take with the next model: it has more parameters and fewer texts."""
LEAST_ROUNDS = 2
"""Contenders that sit every second round out take part once in two."""

MOST_ROUNDS = 15
"""More rounds make no spread small that is still large."""


class Budget:
    """Counts from when it is made."""

    def __init__(self, seconds: float | None) -> None:
        """
        :param seconds: for everything; None: as long as it takes.
        """
        self.seconds = seconds
        self._start = time.monotonic()
        self._model: str | None = None
        self._begun: tuple[str, float] | None = None
        self._took: dict[str, float] = {}

    def left(self) -> float:
        """Seconds; infinite where there is no limit."""
        return float("inf") if self.seconds is None else self.seconds - (time.monotonic() - self._start)

    def begin(self, model: str, case: str) -> bool:
        """
        Tell whether a case may begin, and count its time until :meth:`end`.

        :param model: short name; what it takes to make one is part of its first case.
        :param case: which took some time with the model before, if it was measured there.
        """
        least = LEAST if model == self._model else LEAST_WITH_MODEL
        if self.left() < max(least, GROWTH * self._took.get(case, 0.0)):
            return False
        self._model, self._begun = model, (case, time.monotonic())
        return True

    def end(self) -> None:
        """Note what the case that was begun took."""
        if self._begun is not None:
            case, start = self._begun
            self._took[case], self._begun = time.monotonic() - start, None

    def rounds(self, wanted: int, seconds_each: float) -> int:
        """
        Tell how many rounds fit.

        :param wanted: rounds, at most.
        :param seconds_each: what one takes.
        """
        if self.seconds is None:
            return wanted
        return min(wanted, max(LEAST_ROUNDS, int(self.left() / seconds_each)))


def play_on(play: Callable[[], object], enough: Callable[[], bool], done: int, each: float, until: float) -> int:
    """
    Play rounds until there are enough, there is no time for one more, or there are :data:`MOST_ROUNDS`.

    :param play: plays one.
    :param enough: tells whether those that were played are enough.
    :param done: how many were played.
    :param each: seconds that one of them took.
    :param until: the time by ``time.monotonic`` at which the last one shall be over.
    :returns: how many were played in all.
    """
    while done < MOST_ROUNDS and time.monotonic() + each <= until and not enough():
        start = time.monotonic()
        play()
        each = max(each, time.monotonic() - start)
        done += 1
    return done
