"""Results -> a chart: how many times faster than each peer, with the quartiles of the rounds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bmretriever_integrations.evaluation.reports.chart import COLOURS
from bmretriever_integrations.files import write_whole
from side_by_side.options import CASE_NAMES
from side_by_side.ratios import Spread, ratio
from side_by_side.results import Outcome
from side_by_side.table import PEERS, Result, machine, outcomes_of

BAR_INCHES = 0.2
STYLE = {"svg.hashsalt": "bmretriever", "svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"]}
"""The same bytes in every run, in a font that comes with matplotlib."""


def draw_chart(path: Path, runs: Sequence[Result]) -> None:
    """
    Draw one machine's ratios as horizontal bars; a line at 1 is where a peer is as fast as this engine.

    :param path: a .png or .svg file; replaced if it is there.
    :param runs: the runs of that machine, each of :func:`~side_by_side.results.read_results`.
    """
    timed = [outcome for outcome in outcomes_of(runs) if outcome.case != "memory" and "ours" in outcome.names()]
    timed = [outcome for outcome in timed if any(_drawn(outcome, peer) for peer in PEERS)]  # the others are too noisy
    peers = [peer for peer in PEERS if any(_drawn(outcome, peer) for outcome in timed)]
    bars_of = [[peer for peer in peers if _drawn(outcome, peer)] for outcome in timed]
    sizes = [max(2, len(own)) + 1 for own in bars_of]  # the name of a case takes two lines
    tops = list(accumulate(sizes, initial=0))
    height = 1.6 + tops[-1] * BAR_INCHES
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08))
        axes = figure.add_subplot()
        for row, peer in enumerate(peers):
            shown = [(place, spread) for place, o in enumerate(timed) if (spread := _drawn(o, peer)) is not None]
            middles = [ratio.middle for _, ratio in shown]
            spread = [[r.middle - r.low for _, r in shown], [r.high - r.middle for _, r in shown]]
            places = [tops[place] + bars_of[place].index(peer) for place, _ in shown]
            bars = axes.barh(
                places,
                middles,
                height=0.86,
                color=COLOURS[row % len(COLOURS)],
                label=PEERS[peer],
                xerr=spread,
                ecolor="#444",
            )
            axes.bar_label(bars, fmt="%.2f", padding=4, fontsize=8, color="#333333")
        centres = [top + (len(own) - 1) / 2 for top, own in zip(tops, bars_of, strict=False)]
        axes.set_yticks(centres, [f"{o.model}\n{CASE_NAMES[o.case]}" for o in timed], fontsize=9)
        axes.invert_yaxis()
        axes.axvline(1, color="#888888", linewidth=0.8)
        axes.set_xlabel("times faster (median of the rounds, quartiles as lines)", fontsize=9)
        axes.margins(x=0.08)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="outside upper left",
            ncols=2,
            frameon=False,
            fontsize=9,
            title=f"How many times faster this engine is, on {machine(runs[0][0])}",
            title_fontproperties={"size": 11, "weight": "bold"},
            alignment="left",
        )
        drawn = io.BytesIO()
        kind = path.suffix[1:].lower()
        figure.savefig(drawn, format=kind, dpi=160, metadata={"Date": None} if kind == "svg" else {})
    write_whole(path, drawn.getvalue())


def _drawn(outcome: Outcome, peer: str) -> Spread | None:
    return ratio(outcome, peer, "ours") if peer in outcome.names() else None
