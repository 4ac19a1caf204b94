"""Results -> Markdown: one small table over all machines, for the README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bmretriever_integrations.markdown import markdown_table
from side_by_side.options import CASE_NAMES
from side_by_side.ratios import pairs, ratio
from side_by_side.results import Outcome
from side_by_side.table import NOISY, Result, by_machine, machine, outcomes_of

DTYPES = ("float32", "bfloat16", "float16", "int8")


def overview(results: Sequence[Result]) -> str:
    """
    How many times faster than sentence-transformers at its best: the machines' span for each model, case and dtype.

    :param results: of :func:`~side_by_side.results.read_results`.
    :returns: Markdown.
    """
    machines = by_machine(results)
    found: dict[tuple[str, str], dict[tuple[str, str], list[float | None]]] = {}
    for runs in machines:
        kind = _kind(runs)
        for outcome in outcomes_of(runs):
            for dtype, middle in _of_best(outcome):
                row = found.setdefault((outcome.model, outcome.case), {})
                row.setdefault((kind, dtype), []).append(middle)
    columns = [
        (kind, dtype) for kind in ("GPU", "CPU") for dtype in DTYPES if any((kind, dtype) in r for r in found.values())
    ]
    order = sorted(found, key=_place)
    body = [
        [f"{model}, {CASE_NAMES[case]}", *(_span(found[model, case].get(column)) for column in columns)]
        for model, case in order
    ]
    table = markdown_table(
        ["times faster than sentence-transformers at its best", *(f"{kind}, {dtype}" for kind, dtype in columns)], body
    )
    return "\n\n".join([table, *_machines(machines)])


def _kind(runs: Sequence[Result]) -> str:
    return "GPU" if "gpu" in runs[0][0]["machine_info"] else "CPU"


def _of_best(outcome: Outcome) -> Iterator[tuple[str, float | None]]:
    """Our dtype and the ratio; None where it is refused."""
    if outcome.case == "memory":
        return
    for peer, ours in pairs(outcome):
        if peer.startswith("st-best"):
            spread = ratio(outcome, peer, ours)
            yield outcome.dtype(ours), None if spread is None else spread.middle


def _place(row: tuple[str, str]) -> tuple[float, int]:
    """By the model's parameters, then by the case."""
    model, case = row
    return float(model[:-1]) * {"M": 1, "B": 1000}[model[-1]], list(CASE_NAMES).index(case)


def _span(middles: Sequence[float | None] | None) -> str:
    """The lowest and the highest of those that stand."""
    stand = [middle for middle in middles or () if middle is not None]
    if not stand:
        return "-" if middles is None else NOISY
    low, high = f"{min(stand):.2f}", f"{max(stand):.2f}"
    return low if low == high else f"{low} to {high}"


def _machines(machines: Sequence[Sequence[Result]]) -> Iterator[str]:
    for kind, several in (("GPU", "GPUs"), ("CPU", "CPUs")):
        names = [machine(runs[0][0]) for runs in machines if _kind(runs) == kind]
        if names:
            yield f"{kind if len(names) == 1 else several}: {'; '.join(names)}."
