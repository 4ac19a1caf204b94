"""Several checkpoints of one base -> the mean of their weights ("model soup", Wortsman et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from bmretriever_integrations.checkpoints.loading import load
from bmretriever_integrations.training.stages.network import write_checkpoint


def average_checkpoints(folders: Sequence[Path], output: Path) -> None:
    """
    Average the weights of checkpoints, e.g. of one stage trained with several seeds. The tokenizer is the first one's.

    :param folders: two or more checkpoints of the same base.
    :param output: the new checkpoint's folder; must be empty or not there.
    :raises ValueError: if there are fewer than two, they have other weights or shapes, or ``output`` is not empty.
    """
    if len(folders) < 2:
        raise ValueError(f"an average needs at least two checkpoints, got {len(folders)}")
    if output.exists() and any(output.iterdir()):
        raise ValueError(f"output {output} is not empty")
    first = load(str(folders[0]), torch.float32)
    total = first.network.state_dict()
    for folder in folders[1:]:
        other = load(str(folder), torch.float32).network.state_dict()
        if {name: tensor.shape for name, tensor in other.items()} != {
            name: tensor.shape for name, tensor in total.items()
        }:
            raise ValueError(
                f"{folder} has other weights than {folders[0]}: only checkpoints of one base can be averaged"
            )
        for name, tensor in other.items():
            total[name] += tensor
    for tensor in total.values():
        tensor.div_(len(folders))
    first.network.load_state_dict(total)
    write_checkpoint(first.network, first.tokenizer, output, first.normalizes)
