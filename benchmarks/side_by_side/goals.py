"""What this project wants of a GPU and of a CPU, beside what was measured there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bmretriever_integrations.markdown import markdown_table
from side_by_side.limits import share_of_bandwidth, share_of_peak
from side_by_side.options import CASE_NAMES
from side_by_side.ratios import is_shown, pairs, ratio
from side_by_side.results import Outcome

TIMES = "times sentence-transformers at its best"
"""In the same dtype, with the fastest attention and batch size that it can have; for int8 in bfloat16."""
PEAK = "of the matmul peak"
BANDWIDTH = "of the memory bandwidth"
SHARES = {PEAK: share_of_peak, BANDWIDTH: share_of_bandwidth}
MISSING, REFUSED = "not measured", "too noisy, or wrong vectors"


@dataclass(frozen=True)
class Goal:
    """One number that one case of one model shall reach in one dtype."""

    model: str
    case: str
    what: str
    """One of :data:`TIMES`, :data:`PEAK` and :data:`BANDWIDTH`."""
    least: float
    dtype: str = "bfloat16"

    def measured(self, outcome: Outcome) -> float | str:
        """
        Read the number.

        :param outcome: the outcome of the goal's case.
        :returns: the number, or why there is none.
        """
        for peer, ours in pairs(outcome):
            if not peer.startswith("st-best") or outcome.dtype(ours) != self.dtype:
                continue
            if self.what == TIMES and self.dtype == "int8" and outcome.dtype(peer) != "bfloat16":
                continue
            if self.what == TIMES:
                found = ratio(outcome, peer, ours)
                return REFUSED if found is None else found.middle
            share = SHARES[self.what](outcome, ours)
            return MISSING if share is None else share if is_shown(outcome, ours) else REFUSED
        return MISSING


ON_A_GPU = (
    Goal("410M", "passages", TIMES, 1.5),
    Goal("410M", "passages", PEAK, 0.45),
    Goal("410M", "queries", TIMES, 2.0),
    Goal("410M", "one-query", TIMES, 3.0),
    *(
        goal
        for model in ("2B", "7B")
        for goal in (
            Goal(model, "passages", TIMES, 1.3),
            Goal(model, "passages", PEAK, 0.6),
            Goal(model, "queries", TIMES, 2.0),
            Goal(model, "one-query", TIMES, 3.0),
        )
    ),
    Goal("1B", "queries", TIMES, 2.0),
    Goal("1B", "one-query", TIMES, 3.0),
)
ON_A_CPU = tuple(
    goal
    for model in ("410M", "1B")
    for goal in (
        Goal(model, "passages", TIMES, 1.25, "float32"),
        Goal(model, "passages", TIMES, 1.7),
        Goal(model, "passages", PEAK, 0.75),
        Goal(model, "queries", TIMES, 2.5, "float32"),
        Goal(model, "queries", TIMES, 2.5),
        Goal(model, "one-query", TIMES, 1.5, "float32"),
        Goal(model, "one-query", BANDWIDTH, 0.7, "float32"),
        Goal(model, "one-query", TIMES, 1.5),
        Goal(model, "one-query", BANDWIDTH, 0.7),
        Goal(model, "one-query", TIMES, 2.5, "int8"),
    )
)


def goals_table(outcomes: Sequence[Outcome], on_gpu: bool) -> str:
    """
    Put each goal beside what was measured.

    :param outcomes: the outcomes of one machine; of two for the same case the later one counts.
    :param on_gpu: whether the goals are a GPU's.
    :returns: Markdown.
    """
    found = {(outcome.model, outcome.case): outcome for outcome in outcomes}
    goals = ON_A_GPU if on_gpu else ON_A_CPU
    return markdown_table(["goal", "at least", "measured", "reached"], list(_lines(goals, found)))


def _lines(goals: Sequence[Goal], outcomes: Mapping[tuple[str, str], Outcome]) -> Iterator[list[str]]:
    """One a goal; ``outcomes`` by model and case."""
    for goal in goals:
        outcome = outcomes.get((goal.model, goal.case))
        measured = MISSING if outcome is None else goal.measured(outcome)
        if isinstance(measured, str):
            found = ["-", measured]
        else:
            found = [_shown(goal, measured), "yes" if measured >= goal.least else "**no**"]
        yield [f"{goal.model}, {CASE_NAMES[goal.case]}, {goal.dtype}: {goal.what}", _shown(goal, goal.least), *found]


def _shown(goal: Goal, value: float) -> str:
    return f"{value:.2f}" if goal.what == TIMES else f"{100 * value:.0f} %"
