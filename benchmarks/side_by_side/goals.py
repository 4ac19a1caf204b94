"""What this project wants of a GPU, beside what was measured there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bmretriever_integrations.markdown import markdown_table
from side_by_side.options import CASE_NAMES
from side_by_side.results import Outcome

BEST = "st-best"
"""The peer of every goal: sentence-transformers in the same dtype, with the fastest attention and batch size that it can have."""


@dataclass(frozen=True)
class Goal:
    """One number that one case of one model shall reach."""

    model: str
    case: str
    of_peak: bool
    """Whether it is a share of the measured matmul peak; else how many times faster than :data:`BEST`."""
    least: float

    def measured(self, outcome: Outcome) -> float | None:
        """
        Read the number.

        :param outcome: the outcome of the goal's case.
        :returns: None where it was not measured, vectors were wrong, or times were too noisy.
        """
        needed = ("ours",) if self.of_peak else ("ours", BEST)
        if any(name not in outcome.names() or not outcome.counts(name) for name in needed):
            return None
        if self.of_peak:
            return outcome.share_of_peak("ours")
        if self.case == "one-query":
            return outcome.latency(BEST, 50) / outcome.latency("ours", 50)
        return outcome.ratio(BEST, "ours").middle


GOALS = (
    Goal("410M", "passages", of_peak=False, least=1.5),
    Goal("410M", "passages", of_peak=True, least=0.45),
    Goal("410M", "queries", of_peak=False, least=2.0),
    Goal("410M", "one-query", of_peak=False, least=3.0),
    *(
        goal
        for model in ("2B", "7B")
        for goal in (
            Goal(model, "passages", of_peak=False, least=1.3),
            Goal(model, "passages", of_peak=True, least=0.6),
            Goal(model, "queries", of_peak=False, least=2.0),
            Goal(model, "one-query", of_peak=False, least=3.0),
        )
    ),
    Goal("1B", "queries", of_peak=False, least=2.0),
    Goal("1B", "one-query", of_peak=False, least=3.0),
)


def goals_table(outcomes: Sequence[Outcome]) -> str:
    """
    Put each goal beside what was measured.

    :param outcomes: the outcomes of one machine; of two for the same case the later one counts.
    :returns: Markdown.
    """
    found = {(outcome.model, outcome.case): outcome for outcome in outcomes}
    return markdown_table(["goal", "at least", "measured", "reached"], list(_lines(found)))


def _lines(outcomes: Mapping[tuple[str, str], Outcome]) -> Iterator[list[str]]:
    """One a goal; ``outcomes`` by model and case."""
    for goal in GOALS:
        outcome = outcomes.get((goal.model, goal.case))
        measured = None if outcome is None else goal.measured(outcome)
        what = "of the matmul peak" if goal.of_peak else "times sentence-transformers at its best"
        case = CASE_NAMES[goal.case] + (", p50" if goal.case == "one-query" else "")
        found = ["-", "not measured"]
        if measured is not None:
            found = [_shown(goal, measured), "yes" if measured >= goal.least else "**no**"]
        yield [f"{goal.model}, {case}: {what}", _shown(goal, goal.least), *found]


def _shown(goal: Goal, value: float) -> str:
    return f"{100 * value:.0f} %" if goal.of_peak else f"{value:.2f}"
