"""Choose the fastest exact way to run a network on its device."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from textwrap import shorten
from typing import Any, Protocol

import torch
from torch import Tensor

from bmretriever_integrations.device import cpu_has_amx
from bmretriever_integrations.forward import attention, layout
from bmretriever_integrations.forward.decoder import FAMILIES
from bmretriever_integrations.forward.flat import FlatForward
from bmretriever_integrations.forward.independence import check_independent, rotates_by_longest_row
from bmretriever_integrations.forward.plain import PlainForward
from bmretriever_integrations.forward.quantization import quantize_network


class Forward(Protocol):
    """One way to run a network."""

    network: Any
    """The network whose weights are used."""
    pads: bool
    """Whether rows are padded. A batch then costs its number of rows times its longest row, else the sum of its rows' tokens."""
    reuses_prefix: bool
    """Whether calls may have a ``shared`` above 0."""

    @property
    def name(self) -> str:
        """The name that ``repr`` shows."""

    @property
    def is_recordable(self) -> bool:
        """Whether single rows can run as one CUDA graph."""

    def __call__(self, rows: Sequence[Sequence[int]], shared: int = 0) -> Tensor:
        """Run a batch of token ids, of which the first ``shared`` are the same in all rows. *Shape:* (rows, width)"""

    def compile(self) -> bool:
        """Let PyTorch compile the network at its next use; return whether there is anything to compile."""

    def record(self, common: Sequence[int], span: int) -> None:
        """Prepare for single rows of up to ``span`` tokens after the prefix ``common``; only where ``is_recordable``."""


def choose_forward(network: Any, pad_id: int, wanted: str = "auto", quantization: str | None = None) -> Forward:
    """
    Choose how to run a network.

    :param network: a decoder without head, in eval mode on its device.
    :param pad_id: any id of the vocabulary, for padding.
    :param wanted: one of :data:`~bmretriever_integrations.settings.FORWARDS`. "packed" runs rows without padding, by
        variable-length attention on CUDA in bfloat16 or float16, and by PyTorch's scaled dot-product attention elsewhere.
        "padded" pads all rows of a batch to one length. "plain" runs the network as transformers does. "auto" means "packed" on
        the CPU and where the variable-length kernel works, "padded" on other devices, and "plain" for other families.
    :param quantization: the quantisation of the linear layers' weights, which are converted in place; None for none.
    :raises ValueError: if the network is not causal, or if "packed" or "padded" is wanted for a network of another family.
    """
    known = knows(network)
    if wanted == "plain" or (wanted == "auto" and not known):
        quantize_network(network, quantization)
        plain = PlainForward(network, pad_id)
        check_independent(network, plain)
        return plain
    if not known:
        raise ValueError(
            f"forward={wanted!r} knows causal networks of {', '.join(FAMILIES)} whose positions do not depend on the batch, not "
            f"this {type(network).__name__}: use forward='plain'"
        )
    first = next(network.parameters())
    by_varlen = has_varlen(network.config, first.device, first.dtype)
    if wanted == "auto":
        wanted = "packed" if by_varlen or first.device.type == "cpu" else "padded"
    pads = wanted == "padded"
    if by_varlen and not pads:
        way = "varlen"
    else:  # on a CPU with AMX, PyTorch's fused attention in bfloat16 is the faster one: 1.7 ms for 300 tokens against 2.5
        is_slow = first.device.type == "cpu" and first.dtype == torch.bfloat16 and not cpu_has_amx()
        way = "batched" if is_slow and not pads else "grouped"
    return FlatForward(network, pad_id, way=way, pads=pads, quantization=quantization)


def has_varlen(config: Any, device: torch.device, dtype: torch.dtype) -> bool:
    """
    Tell whether PyTorch's variable-length kernel runs for a network on a device and gives right results.

    :param config: the configuration of the network.
    :param device: the device on which the network will run.
    :param dtype: the number type in which its attention will compute.
    """
    return may_have_varlen(device, dtype) and varlen_agrees(device, dtype, *_heads(config))


def knows(network: Any) -> bool:
    """
    Tell whether a network is a causal decoder of a known family whose positions do not depend on the batch.

    :param network: a decoder without head.
    """
    family = type(network).__name__ in FAMILIES
    return family and getattr(network.config, "is_causal", True) and not rotates_by_longest_row(network)


def may_have_varlen(device: torch.device, dtype: torch.dtype) -> bool:
    """Tell whether the variable-length kernel may run here: FlashAttention 2 needs compute capability 8.0 and 16 bits."""
    return (
        device.type == "cuda"
        and dtype in (torch.bfloat16, torch.float16)
        and torch.cuda.get_device_capability(device) >= (8,)
    )


def _heads(config: Any) -> tuple[int, int, int]:
    """Return the number of query heads, the number of key-value heads, and the width of a head."""
    heads: int = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return heads, getattr(config, "num_key_value_heads", None) or heads, width


@lru_cache
def varlen_agrees(device: torch.device, dtype: torch.dtype, heads: int, kv_heads: int, width: int) -> bool:
    """
    Compare the kernel with PyTorch's other attention on this device: with and without a prefix, a window, and last tokens only.

    The signature of a kernel does not say which queries belong to which keys, and a wrong assumption gives plausible vectors.
    """
    generator = torch.Generator().manual_seed(0)

    def noise(tokens: int, count: int) -> Tensor:
        return torch.randn(tokens, count, width, generator=generator).to(device, dtype)

    before = noise(5, kv_heads), noise(5, kv_heads)
    for prefix, window, last_only in product((layout.Prefix((1,) * 5, (before,)), None), (None, 12), (False, True)):
        batch = layout.packed([[1] * length for length in (300, 40, 9, 9, 1)], device, prefix)
        query = noise(len(batch.lengths) if last_only else batch.tokens, heads)
        key, value = noise(batch.tokens, kv_heads), noise(batch.tokens, kv_heads)
        scope = attention.Scope(batch, width**-0.5, window, None if prefix is None else before)
        try:
            found = attention.varlen(query, key, value, scope)
        except torch.OutOfMemoryError:  # this error says nothing about the kernel
            raise
        except Exception as error:  # a missing kernel for the device, head width or PyTorch raises errors of many types
            reason = f"does not run on {device} ({shorten(str(error), 200)})"
        else:
            wanted = attention.grouped(query, key, value, scope)
            if torch.allclose(found.float(), wanted.float(), atol=0.05, rtol=0.05):
                continue
            reason = f"is not right on {device}"
        warnings.warn(f"variable-length attention {reason}; PyTorch's other attention is used", stacklevel=4)
        return False
    return True
