"""Network and device -> the fastest exact way to run it."""

from __future__ import annotations

import importlib.util
from typing import Any, Protocol

import torch
from torch import Tensor

from bmretriever_integrations.forward.decoder import FAMILIES
from bmretriever_integrations.forward.flat import FlatForward
from bmretriever_integrations.forward.plain import PlainForward


class Forward(Protocol):
    """One way to run a network."""

    network: Any
    """Whose weights it shares."""
    name: str
    """What ``repr`` shows."""
    pads: bool
    """Whether a batch costs its longest row times its rows; else the sum of its rows."""
    reuses_prefix: bool
    """Whether it makes use of ``shared``."""

    def __call__(self, rows: list[list[int]], shared: int = 0) -> Tensor:
        """Embed a batch of token ids, of which the first ``shared`` are the same in all rows. *Shape:* (rows, width)"""


def choose_forward(network: Any, pad_id: int, wanted: str = "auto") -> Forward:
    """
    Choose how to run a network.

    :param network: a decoder without head, in eval mode on its device.
    :param pad_id: any id of the vocabulary, for padding.
    :param wanted: one of :data:`~bmretriever_integrations.settings.FORWARDS`. "packed": no padding, by variable-length attention
        on CUDA in bfloat16 or float16, by PyTorch's scaled dot-product attention elsewhere. "padded": all rows of a batch of one
        length. "plain": the network as transformers runs it. "auto": "packed" on the CPU and where that CUDA kernel is there,
        "padded" on other devices, "plain" for networks of other families.
    :raises ValueError: if the network is of no family that "packed" and "padded" know.
    """
    known = type(network).__name__ in FAMILIES and getattr(network.config, "is_causal", True)
    if wanted == "plain" or (wanted == "auto" and not known):
        return PlainForward(network, pad_id)
    if not known:
        raise ValueError(
            f"forward={wanted!r} knows {', '.join(FAMILIES)}, not {type(network).__name__}: use forward='plain'"
        )
    first = next(network.parameters())
    has_varlen = _has_varlen(first.device, first.dtype)
    if wanted == "auto":
        wanted = "packed" if has_varlen or first.device.type == "cpu" else "padded"
    if wanted == "padded":
        return FlatForward(network, pad_id, way="grouped", pads=True)
    return FlatForward(network, pad_id, way="varlen" if has_varlen else "grouped", pads=False)


def _has_varlen(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether PyTorch's variable-length attention runs here: FlashAttention 2 needs compute capability 8.0."""
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16):
        return False
    if importlib.util.find_spec("torch.nn.attention.varlen") is None:
        return False
    import inspect

    from torch.nn.attention.varlen import varlen_attn

    wanted = {"window_size", "enable_gqa"}  # PyTorch 2.12; before, it knew neither
    return wanted <= set(inspect.signature(varlen_attn).parameters) and torch.cuda.get_device_capability(device) >= (8,)
