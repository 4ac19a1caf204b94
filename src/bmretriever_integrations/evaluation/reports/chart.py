"""Draw results as a bar chart, with one group of bars for each task."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bmretriever_integrations.evaluation.reports.json_report import MAIN_MEASURES, means_over_tasks
from bmretriever_integrations.evaluation.reports.scored import dated, labels, versions, weights
from bmretriever_integrations.evaluation.systems.comparison import Result
from bmretriever_integrations.evaluation.tasks.similarity import AnyTask
from bmretriever_integrations.files import write_whole

FORMATS = (".png", ".svg")
BASELINE = "BM25"
GREY = "#9a9a9a"
# Okabe and Ito's palette, which colour-blind readers can distinguish, without its yellow, which is too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")

WIDTH_INCHES = 8.0
BAR_INCHES = 0.24
GAP_INCHES = 0.22
LETTERS = 80
"""Letters of a line of the legend; a longer name of a system is broken."""
SMALL_LETTERS = 130
"""Letters of a line below the bars."""
MARGIN_INCHES = 1.2
"""Height of the title above the bars and of the axis below them."""


def draw_chart(path: Path, tasks: Sequence[AnyTask], results: Sequence[Result]) -> None:
    """
    Draw each task's first measure for every system, and the means over all tasks, as horizontal bars. What was scored and when
    stands below them.

    :param path: a .png or .svg file; replaced if it is there.
    :param tasks: the tasks, drawn from the top.
    :param results: what was measured.
    :raises ValueError: if the file's name does not end in .png or .svg.
    """
    check_format(path)
    mixed = len({task.measures[0] for task in tasks}) > 1
    measure = MAIN_MEASURES if mixed else tasks[0].measures[0]
    groups = {
        f"{task.name}\n{task.measures[0]}" if mixed else task.name: {
            r.system: r.means[task.measures[0]] for r in results if r.task == task.name
        }
        for task in tasks
    }
    if len(tasks) > 1:
        means = means_over_tasks(results, tasks)
        groups[f"Mean of {len(tasks)} tasks"] = {system: of[measure] for system, of in means.items()}
    names = labels(results)
    below = [dated(results), *weights(results), *versions(tasks)]
    with matplotlib.rc_context(
        {
            "svg.hashsalt": "bmretriever",  # gives the same ids, and so the same bytes, in every run
            "svg.fonttype": "none",
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans"],  # matplotlib contains this font
        }
    ):
        figure = _draw(groups, names, measure, below)
        content = io.BytesIO()
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else {}
        figure.savefig(content, format=path.suffix[1:].lower(), dpi=160, metadata=metadata)
    write_whole(path, content.getvalue())


def check_format(path: Path) -> None:
    """
    Check that a file name ends in the suffix of a known format.

    :param path: the path of the chart.
    :raises ValueError: if it does not end in .png or .svg.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"the chart's name must end in {' or '.join(FORMATS)}, got {path.name!r}")


def _draw(groups: dict[str, dict[str, float]], names: dict[str, str], measure: str, below: Sequence[str]) -> Figure:
    systems = list(names)
    shown = [textwrap.fill(name, LETTERS) for name in names.values()]
    group_inches = len(systems) * BAR_INCHES + GAP_INCHES
    columns = max(
        1, int(WIDTH_INCHES / (0.75 + 0.085 * max(len(line) for name in shown for line in name.splitlines())))
    )  # a letter in the legend has 0.085 inches
    legend = sum(name.count("\n") + 1 for name in shown) if columns == 1 else -(-len(systems) // columns)
    lines = [part for line in below for part in textwrap.wrap(line, SMALL_LETTERS)]
    height = MARGIN_INCHES + len(groups) * group_inches + 0.2 * legend + 0.13 * len(lines)
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08)  # inches around the whole
    figure = Figure(figsize=(WIDTH_INCHES, height), layout=layout)
    axes = figure.add_subplot()
    models = [system for system in systems if system != BASELINE]
    for row, (system, label) in enumerate(zip(systems, shown, strict=True)):
        colour = GREY if system == BASELINE else COLOURS[models.index(system) % len(COLOURS)]
        drawn = [(place, of[system]) for place, of in enumerate(groups.values()) if system in of]
        # places are in bars, counted from the top
        places = [place * group_inches / BAR_INCHES + row for place, _ in drawn]
        bars = axes.barh(places, [value for _, value in drawn], height=0.86, color=colour, label=label)
        axes.bar_label(bars, fmt="%.3f", padding=3, fontsize=8.5, color="#333333")
    middles = [place * group_inches / BAR_INCHES + (len(systems) - 1) / 2 for place in range(len(groups))]
    axes.set_yticks(middles, list(groups), fontsize=10)
    axes.set_ylim(middles[-1] + len(systems) / 2 + 0.5, -1)
    if len(groups) > 1:
        _set_mean_apart(axes, (middles[-1] + middles[-2]) / 2)
    _dress(axes, measure)
    figure.legend(  # the legend contains the title, so that the two cannot overlap
        loc="outside upper left",
        ncols=min(len(systems), columns),
        frameon=False,
        fontsize=9.5,
        title=f"{measure} by task",
        title_fontproperties={"size": 13, "weight": "bold"},
        alignment="left",
    )
    figure.supxlabel("\n".join(lines), x=0.02, ha="left", fontsize=6.5, color="#666666")
    return figure


def _set_mean_apart(axes: Axes, place: float) -> None:
    axes.axhline(place, color="#bbbbbb", linewidth=0.8)
    axes.get_yticklabels()[-1].set_fontweight("bold")


def _dress(axes: Axes, measure: str) -> None:
    lowest = min(0.0, axes.dataLim.xmin)  # a correlation may be below 0
    axes.set_xlim(lowest and lowest - 0.06, 1.06)  # room for the number beside a full bar
    axes.set_xticks([tick / 5 for tick in range(math.floor(lowest * 5), 6)])
    axes.set_xlabel(f"{measure} (higher is better)", fontsize=9.5, color="#444444")
    axes.xaxis.grid(visible=True, color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color("#888888")
