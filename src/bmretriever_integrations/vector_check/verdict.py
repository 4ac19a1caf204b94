"""Hold what a check of vectors found, and put it into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

ROWS_NAMED = 8
"""The most rows that a sentence names."""
RIGHT = "These are the right vectors"
UNKNOWN = "None of the known mistakes made these vectors"


@dataclass(frozen=True)
class Candidate:
    """One way to compute vectors, and how well it explains the given ones."""

    name: str
    """Its mistakes, or "the right way"."""
    fitting: int
    """The number of rows that it explains."""
    checked: int
    """The number of rows for which it was computed."""
    cosine: float
    """The mean cosine of these rows."""
    length: float
    """The median length of its vectors."""


@dataclass(frozen=True)
class Verdict:
    """What made the given vectors."""

    mistakes: tuple[str, ...] | None
    """What is wrong, in a few words each; empty if nothing is; None if nothing that was tried explains the vectors."""
    fitting: int
    """The number of rows that it explains."""
    checked: int
    """The number of rows that were compared."""
    unexplained: tuple[int, ...] = ()
    """The rows, from 1, that it does not explain."""
    notes: tuple[str, ...] = ()
    """Further facts about the vectors."""
    candidates: tuple[Candidate, ...] = field(default=())
    """The ways that were tried and come nearest."""

    @property
    def is_right(self) -> bool:
        """Whether the vectors are the right ones."""
        return self.mistakes == ()

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        if self.mistakes is None:
            return f"{UNKNOWN} ({self.checked:,} rows compared)."
        share = f"{self.fitting:,} of {self.checked:,} rows"
        what = RIGHT if self.is_right else _capital(", ".join(self.mistakes))
        return f"{what}: {share}{self._exceptions()}."

    def _exceptions(self) -> str:
        if not self.unexplained:
            return ""
        return f"; nothing that was tried explains {rows_in_words(self.unexplained)}"


def rows_in_words(rows: Sequence[int]) -> str:
    """
    Name rows.

    :param rows: their numbers, from 1.
    """
    more = f" and {len(rows) - ROWS_NAMED:,} more" if len(rows) > ROWS_NAMED else ""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(str(row) for row in rows[:ROWS_NAMED])}{more}"


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
