"""Run ``bmretriever models``, which lists the checkpoints, their facts, and which of them are on this machine."""

from __future__ import annotations

import argparse

from bmretriever_integrations.checkpoints import CHECKPOINTS, Checkpoint

TABLE_COLUMNS = 150
"""Columns of the table where the output is not a terminal."""


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Declare no arguments, because the command has none."""


def run(_arguments: argparse.Namespace) -> int:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = TABLE_COLUMNS
    table = Table(
        caption="BEIR+: the paper's mean of four BEIR tasks and BIOSSES. Applications: its mean of six applications."
    )
    for name in ("name", "hub id", "backbone", "licence"):
        table.add_column(name, overflow="fold", min_width=24 if name == "hub id" else None)
    for name in ("layers", "width", "parameters", "GB bf16", "GB fp32", "BEIR+", "applications"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("here")
    for checkpoint in CHECKPOINTS:
        table.add_row(*_row(checkpoint))
    console.print(table)
    return 0


def _row(checkpoint: Checkpoint) -> list[str]:
    scores = [checkpoint.paper_average, checkpoint.paper_applications]
    return [
        checkpoint.name,
        checkpoint.hub_id or "in this package",
        checkpoint.backbone,
        checkpoint.licence,
        str(checkpoint.layers),
        f"{checkpoint.width:,}",
        f"{checkpoint.parameters / 1e6:,.0f} M",
        f"{checkpoint.parameters * 2 / 1e9:.2f}",
        f"{checkpoint.parameters * 4 / 1e9:.2f}",
        *("-" if score is None else f"{score:.3f}" for score in scores),
        "yes" if is_here(checkpoint) else "no",
    ]


def is_here(checkpoint: Checkpoint) -> bool:
    """
    Tell whether a checkpoint can be loaded without the hub.

    :param checkpoint: the record of the checkpoint.
    """
    from huggingface_hub import try_to_load_from_cache

    from bmretriever_integrations.checkpoints.int8_storage import embedded_folder

    if checkpoint.hub_id is None:
        return (embedded_folder() / "model.int8.safetensors").is_file()
    cached = [
        isinstance(try_to_load_from_cache(checkpoint.hub_id, name, revision=checkpoint.revision), str)
        for name in ("config.json", "model.safetensors", "model.safetensors.index.json")
    ]
    return cached[0] and any(cached[1:])
