"""How many times faster this engine is, and which of these ratios may be shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from side_by_side.limits import contradicted, is_possible
from side_by_side.results import Outcome

TOO_NOISY = 0.25
"""A ratio is refused where its quartiles lie farther apart than this share of its median."""
ENOUGH = 0.10
"""No more rounds are needed where the quartiles of every ratio are as near as this."""


@dataclass(frozen=True)
class Spread:
    """A median with the quartiles."""

    middle: float
    low: float
    high: float
    count: int
    """Of the values."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """
        Sum numbers up.

        :param values: one or more.
        """
        low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
        return cls(median(values), low, high, len(values))

    @property
    def width(self) -> float:
        """The distance of the quartiles as a share of the median."""
        return (self.high - self.low) / self.middle


def pairs(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """
    Tell which contenders are compared with which of ours.

    In its second dtype ours meets sentence-transformers in the same one, in int8 sentence-transformers in bfloat16 where the CPU
    has that, else in float32.

    :param outcome: the case.
    :returns: short names, the peer's and ours.
    """
    names = outcome.names()
    for name in names:
        ours = "ours-auto" if name.endswith("-auto") else "ours"
        if not name.startswith("ours") and ours in names:
            yield name, ours
    best = [name for name in ("st-best-auto", "st-best") if name in names]
    if best and "ours-int8" in names:
        yield best[0], "ours-int8"


def measured_ratio(outcome: Outcome, peer: str, ours: str) -> Spread | None:
    """
    How many times faster ours is, round by round; rounds whose slices contradict each other are left out.

    :param outcome: the case.
    :param peer: short name.
    :param ours: short name.
    :returns: None where no round is left.
    """
    left_out = contradicted(outcome, peer) | contradicted(outcome, ours)
    own = outcome.seconds(ours)
    ratios = [theirs / own[n] for n, theirs in outcome.seconds(peer).items() if n in own and n not in left_out]
    return Spread.of(ratios) if ratios else None


def ratio(outcome: Outcome, peer: str, ours: str) -> Spread | None:
    """
    How many times faster ours is, if that may be said.

    :param outcome: the case.
    :param peer: short name.
    :param ours: short name.
    :returns: None where a contender's vectors are wrong or its time is impossible, or the ratio is too noisy.
    """
    if not all(outcome.right(name) and is_possible(outcome, name) for name in (peer, ours)):
        return None
    found = measured_ratio(outcome, peer, ours)
    return found if found is not None and found.width <= TOO_NOISY else None


def is_shown(outcome: Outcome, name: str) -> bool:
    """
    Tell whether a contender's figures may be shown: its vectors are right, its time is possible and its ratio stands.

    :param outcome: the case.
    :param name: short name. Of ours one of its ratios has to stand, of a peer that to ours in the same dtype, if there is one. If
        there is nobody to compare it with, the spread of its own times decides.
    """
    if not (outcome.right(name) and is_possible(outcome, name)):
        return False
    own = [pair for pair in pairs(outcome) if name in pair and all(map(outcome.right, pair))]
    if own:
        own = own if name.startswith("ours") else own[:1]  # sentence-transformers meets int8 last
        return any(ratio(outcome, *pair) is not None for pair in own)
    return Spread.of(list(outcome.seconds(name).values())).width <= TOO_NOISY


def is_settled(outcome: Outcome) -> bool:
    """
    Tell whether more rounds would say little more: every ratio has two rounds at least, and its quartiles are near each other.

    :param outcome: what was measured until now. Where a time is impossible, more rounds may mend it.
    """
    compared = [pair for pair in pairs(outcome) if all(map(outcome.right, pair))]
    if not all(is_possible(outcome, name) for pair in compared for name in pair):
        return False
    found = [measured_ratio(outcome, *pair) for pair in compared]
    return all(spread is not None and spread.count > 1 and spread.width <= ENOUGH for spread in found)
