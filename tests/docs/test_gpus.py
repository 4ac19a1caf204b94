"""The table of docs/gpus.md is what the catalogue and the engine's own rule give."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bmretriever_integrations.checkpoints import RELEASED
from bmretriever_integrations.device import choose_batch_tokens

PAGE = Path(__file__).parents[2] / "docs" / "gpus.md"
TAKEN = 1e9
"""Bytes that CUDA and other programs take, as the page assumes."""
MLP = {"410M": 4096, "1B": 8192, "2B": 16384, "7B": 14336}
"""Width of the MLP, from the models' config.json."""


def rows() -> list[list[str]]:
    found = re.findall(r"^\| ((?:weights|tokens) .*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [row.split(" | ") for row in found]


def batch_tokens(checkpoint, dtype, free):
    config = SimpleNamespace(hidden_size=checkpoint.width, intermediate_size=MLP[checkpoint.name])
    network = SimpleNamespace(config=config, parameters=lambda: iter([torch.zeros(1, dtype=dtype)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.mem_get_info", lambda device: (int(free), 0))
        return choose_batch_tokens(network, torch.device("cuda", 0))


def test_the_weights_are_parameters_times_bytes():
    weights = [row for row in rows() if row[0].startswith("weights")]
    assert [row[1:] for row in weights] == [
        [f"{checkpoint.parameters * size / 1e9:.1f} GB" for checkpoint in RELEASED] for size in (2, 4)
    ]


def test_the_batches_are_the_engine_s():
    dtype, checked = None, 0
    for name, *cells in rows():
        if name.startswith("weights"):
            dtype = torch.float32 if "float32" in name else torch.bfloat16
            continue
        card = float(re.search(r"(\d+) GB", name)[1]) * 1e9
        for checkpoint, cell in zip(RELEASED, cells, strict=True):
            free = card - TAKEN - checkpoint.parameters * dtype.itemsize
            assert cell == ("no" if free < 0 else f"{batch_tokens(checkpoint, dtype, free):,}"), (name, checkpoint.name)
            checked += 1
    assert checked == 24
