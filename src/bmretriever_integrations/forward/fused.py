"""
Fuse the operations between a layer's matrix products on CUDA, where moving activations takes as long as computing them.

A fused layer is a copy of a layer of transformers, with shared weights. Each fused part is compared with the original part
before it is used. If Triton is missing or a result is not right, transformers' own layers are used. The kernels' module is
imported only where a kernel is called, because it cannot be imported without Triton.
"""

from __future__ import annotations

import copy
import importlib.util
import warnings
from collections.abc import Iterator
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn

from bmretriever_integrations.forward.attention import Attention, attend_in_layer
from bmretriever_integrations.forward.layout import Layout
from bmretriever_integrations.forward.projections import (
    Rotary,
    attention_of,
    output_projection,
    project,
    rotate_by_transformers,
    window_of,
)

TANH = {"GELUTanh": True, "PytorchGELUTanh": True, "SiLUActivation": False, "SiLU": False}
"""Activations that :func:`~bmretriever_integrations.forward.kernels.gate_` computes: maps the name of a class in transformers
4.57 or 5 to whether it is GELU in its tanh form; else it is SiLU."""
FLOAT32_ERROR, HALF_ERROR = 1e-5, 0.02
"""The largest relative errors of a right result, in float32 and in 16 bits; one rounding to bfloat16 has up to 0.004."""


class FusedNorm(nn.Module):
    """Root-mean-square norm of Gemma, Llama or Mistral."""

    def __init__(self, norm: Any) -> None:
        """
        :param norm: the norm of transformers whose weight is shared.
        """
        super().__init__()
        self.weight = norm.weight
        self._eps: float = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
        self._plus_one = type(norm).__name__.startswith("Gemma")

    def forward(self, given: Tensor) -> Tensor:
        """Normalise. *Shape:* (..., width), as the input"""
        from bmretriever_integrations.forward.kernels import rms_norm

        return rms_norm(given, self.weight, self._eps, self._plus_one)


class FusedGate(nn.Module):
    """The MLP of Gemma, Llama or Mistral, with the gate's activation and product in one kernel."""

    def __init__(self, mlp: Any) -> None:
        """
        :param mlp: the MLP of transformers whose projections are shared.
        """
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = mlp.gate_proj, mlp.up_proj, mlp.down_proj
        self._tanh = TANH[type(mlp.act_fn).__name__]

    def forward(self, given: Tensor) -> Tensor:
        """Run the MLP. *Shape:* (..., width), as the input"""
        down: Tensor = self.down_proj(self.product(self.gate_proj(given), self.up_proj(given)))
        return down

    def product(self, gate: Tensor, up: Tensor) -> Tensor:
        """Multiply the activated gate with ``up``, in place of the gate."""
        from bmretriever_integrations.forward.kernels import gate_

        return gate_(gate, up, self._tanh)


class FusedAttention(nn.Module):
    """Projections, rotation in place and attention of any known family, without copies between them."""

    def __init__(self, attention: Any, number: int, attend: Attention) -> None:
        """
        :param attention: the attention module of transformers whose projections are shared.
        :param number: the number of the layer, from 0.
        :param attend: the function that computes attention.
        """
        super().__init__()
        self.attention = attention
        self._number, self._attend = number, attend
        self._window = window_of(attention)

    def forward(
        self, hidden_states: Tensor, *, position_embeddings: Rotary, layout: Layout, **_unused: Any
    ) -> tuple[Tensor, None]:
        """
        Attend, with the arguments that a layer of transformers gives.

        :param hidden_states: the flat batch. *Shape:* (1, tokens, width)
        :param position_embeddings: cosine and sine of each token. *Shape:* (1, tokens, rotated width) each
        :param layout: the layout of the flat batch.
        :returns: the result, *Shape:* (1, tokens, width), and None for the attention weights
        """
        query, key, value = project(self.attention, hidden_states[0])
        query, key = (rotate_in_place(part, position_embeddings) for part in (query, key))
        parts = query, key, value
        attended = attend_in_layer(
            self._number, self._attend, parts, layout, scale=self.attention.scaling, window=self._window
        )
        return output_projection(self.attention)(attended.flatten(1))[None], None


def rotate_in_place(part: Tensor, rotary: Rotary) -> Tensor:
    """
    Rotate queries or keys in place.

    :param part: *Shape:* (tokens, heads, head width)
    :param rotary: the cosine and sine of each token.
    :returns: ``part``
    """
    from bmretriever_integrations.forward.kernels import rotate_

    return rotate_(part, rotary[0][0], rotary[1][0])


def fused_but_attention(layer: Any) -> Any:
    """
    Copy a layer, with fused norms and a fused MLP.

    :param layer: a decoder layer of a known family of transformers, in eval mode; it is not changed.
    """
    fused = copy.copy(layer)
    fused._modules = dict(layer._modules)
    for name, part in layer.named_children():
        if type(part).__name__.endswith("RMSNorm"):
            fused._modules[name] = FusedNorm(part)
        elif name == "mlp" and _is_gated(part):
            fused._modules[name] = FusedGate(part)
    return fused


def fused_layer(layer: Any, number: int, attend: Attention) -> Any:
    """
    Copy a layer, with fused norms, MLP and attention.

    :param layer: a decoder layer of a known family of transformers, in eval mode; it is not changed.
    :param number: the number of the layer, from 0.
    :param attend: the function that computes attention.
    """
    fused = fused_but_attention(layer)
    name = "attention" if hasattr(layer, "attention") else "self_attn"
    fused._modules[name] = FusedAttention(attention_of(layer), number, attend)
    return fused


def _is_gated(mlp: Any) -> bool:
    return hasattr(mlp, "gate_proj") and type(mlp.act_fn).__name__ in TANH


def can_fuse(layer: Any, rotary: Any) -> bool:
    """
    Compare the fused parts of a layer with the original parts, on the layer's device.

    :param layer: a decoder layer of a known family of transformers, in eval mode.
    :param rotary: the network's rotary embedding.
    :returns: whether all fused parts are right; if not, a warning says why. The result is False without a warning where Triton is
        not installed or does not support the GPU (compute capability below 7.0).
    """
    first = next(layer.parameters())
    if importlib.util.find_spec("triton") is None:
        return False
    if first.is_cuda and torch.cuda.get_device_capability(first.device) < (7, 0):
        return False
    tolerance = FLOAT32_ERROR if first.dtype == torch.float32 else HALF_ERROR
    try:
        if all(_relative_error(found, wanted) <= tolerance for found, wanted in _pairs(layer, rotary)):
            return True
        reason = f"not right on {first.device}"
    except torch.OutOfMemoryError:  # this error says nothing about the kernels
        raise
    except Exception as error:  # Triton compiles at the first call, and a missing compiler or device raises many errors
        reason = f"not possible on {first.device}: {shorten(str(error), 200)}"
    warnings.warn(f"fused layers are {reason}; transformers' own layers are used", stacklevel=4)
    return False


@torch.inference_mode()
def _pairs(layer: Any, rotary: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Run each fused part and the original part on random input; yield both results."""
    first = next(layer.parameters())
    attention = attention_of(layer)
    noise = torch.randn(1, 37, attention.config.hidden_size, generator=torch.Generator().manual_seed(0))
    hidden = noise.to(first.device, first.dtype)
    for part in layer.children():
        if type(part).__name__.endswith("RMSNorm"):
            yield FusedNorm(part)(hidden), part(hidden)
    if _is_gated(layer.mlp):
        gate, up = layer.mlp.gate_proj(hidden), layer.mlp.up_proj(hidden)
        wanted = layer.mlp.act_fn(gate) * up
        yield FusedGate(layer.mlp).product(gate, up), wanted
    angles = rotary(hidden, torch.arange(3, 40, device=first.device)[None])
    for part in project(attention, hidden[0])[:2]:
        wanted = rotate_by_transformers(attention, part, angles)
        yield rotate_in_place(part, angles), wanted


def _relative_error(found: Tensor, wanted: Tensor) -> float:
    """Compare whole tensors, because single elements may be small differences of large numbers."""
    return float((found.float() - wanted.float()).norm() / wanted.float().norm())
