"""Refuse a network whose vectors depend on the other rows of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

TOLERANCES = {torch.float32: 1e-3, torch.float64: 1e-3}
"""Largest relative difference between a row's vector alone and in a batch, for each number type."""
TOLERANCE_16_BITS = 0.05
"""The same for bfloat16 and float16. Networks that are not causal differ by 0.4 and more."""
BATCH_DEPENDENT_ROTATIONS = ("dynamic", "longrope")
"""Kinds of rotary positions that transformers computes from the longest row of a batch."""


def rotates_by_longest_row(network: Any) -> bool:
    """
    Tell whether the positions of a row depend on the longest row of its batch.

    :param network: a network of transformers.
    """
    kinds = [module.rope_type for module in network.modules() if hasattr(module, "rope_type")]
    names = [name for kind in kinds for name in (kind.values() if isinstance(kind, dict) else [kind])]
    return any(name in BATCH_DEPENDENT_ROTATIONS for name in names)


@torch.inference_mode()
def check_independent(network: Any, run: Callable[[Sequence[Sequence[int]]], Tensor]) -> None:
    """
    Run a short row alone and beside a longer one.

    A network in which a token attends to later tokens, such as BERT, or reads the padding, gives different vectors.

    :param network: the network.
    :param run: runs a batch of rows of token ids.
    :raises ValueError: if the vectors differ.
    """
    vocabulary = network.get_input_embeddings().num_embeddings
    short, long = ([number % vocabulary for number in range(first, last)] for first, last in ((5, 9), (20, 44)))
    alone, together = run([short])[0].float(), run([long, short])[1].float()
    allowed = TOLERANCES.get(next(network.parameters()).dtype, TOLERANCE_16_BITS)
    difference = float((alone - together).norm() / alone.norm().clamp_min(torch.finfo(torch.float32).tiny))
    if not difference <= allowed:
        raise ValueError(
            f"{type(network).__name__} is not causal: a text's vector would depend on the other texts of its batch (relative "
            f"difference {difference:.1g}). This engine takes decoders with causal attention; use sentence-transformers for "
            "other models."
        )
