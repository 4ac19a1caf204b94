"""Losses and evaluations -> one picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from bmretriever_integrations.files import write_whole

LOSS_COLOUR, SCORE_COLOURS = "#5a5a5a", {"ndcg@10": "#0072B2", "recall@10": "#D55E00"}
"""Blue and vermilion of Okabe and Ito's palette, which colour-blind readers tell apart."""
NAMES = {"ndcg@10": "nDCG@10", "recall@10": "Recall@10"}


def draw_curves(
    path: Path, losses: Sequence[tuple[int, float]], evaluations: Sequence[tuple[int, dict[str, float]]], title: str
) -> None:
    """
    Draw the training loss, and below it the held-out scores, over the steps.

    :param path: a .png file; replaced if it is there.
    :param losses: steps and mean losses since the one before.
    :param evaluations: steps and scores; empty draws the loss alone.
    :param title: above both.
    """
    from matplotlib.figure import Figure

    panels = 2 if evaluations else 1
    figure = Figure(figsize=(8.0, 2.9 * panels + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
    axes[0].plot(*zip(*losses, strict=True), color=LOSS_COLOUR, linewidth=1.4)
    axes[0].set_ylabel("training loss")
    if evaluations:
        steps = [step for step, _ in evaluations]
        for name, colour in SCORE_COLOURS.items():
            values = [scores[name] for _, scores in evaluations]
            axes[1].plot(steps, values, color=colour, marker="o", markersize=3.5, linewidth=1.4, label=NAMES[name])
        axes[1].set_ylabel("held-out pairs")
        axes[1].legend(frameon=False, loc="lower right", fontsize=9)
    axes[-1].set_xlabel("step")
    for axis in axes:
        axis.grid(axis="y", color="#e5e5e5")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    write_whole(path, content.getvalue())
