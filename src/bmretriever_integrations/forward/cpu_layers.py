"""Make a network's layers for the CPU, layer by layer, and compare the first and the last with the layers of transformers."""

from __future__ import annotations

import warnings
from textwrap import shorten
from typing import Any

import torch
from torch import nn

from bmretriever_integrations.device import is_out_of_memory
from bmretriever_integrations.forward import layout
from bmretriever_integrations.forward.attention import Attention
from bmretriever_integrations.forward.cpu_layer import ACTIVATION_NAMES, CpuLayer, Make
from bmretriever_integrations.forward.last_layer import LastLayer
from bmretriever_integrations.forward.prepacked import Prepacked, can_prepack
from bmretriever_integrations.forward.projections import attention_of
from bmretriever_integrations.forward.quantization import Int8Linear

INPUT = 0.01
"""The size of the input with which layers are compared."""
FLOAT32_ERROR, BFLOAT16_ERROR, INT8_ERROR = 1e-5, 0.02, 0.1
"""The largest relative errors of a right layer in float32, in bfloat16 (one rounding has up to 0.004) and with int8 weights."""


def can_replace(layer: Any, dtype: torch.dtype) -> bool:
    """
    Tell whether a layer has a form that :class:`~bmretriever_integrations.forward.cpu_layer.CpuLayer` knows.

    :param layer: a layer of transformers.
    :param dtype: the number type of its weights.
    """
    activation = getattr(layer.mlp, "act_fn", None) or layer.mlp.act
    linears = [part for part in layer.modules() if hasattr(part, "in_features")]
    return type(activation).__name__ in ACTIVATION_NAMES and all(
        type(part) is nn.Linear and part.weight.dtype == dtype for part in linears
    )


@torch.inference_mode()
def replace_layers(layers: nn.ModuleList, rotary: Any, attend: Attention, quantization: str | None) -> bool:
    """
    Replace a network's layers by layers for the CPU, in place. Each old layer's weights are freed at once. If memory runs out
    meanwhile, the network cannot be used.

    :param layers: the layers of a network of transformers whose attention is that of this package, on the CPU in eval mode.
    :param rotary: the network's rotary embedding.
    :param attend: the function that computes attention.
    :param quantization: None or "int8".
    :returns: whether it was possible; if the new layers are not right, a warning says so and nothing is changed.
    """
    make: Make = Int8Linear.made if quantization == "int8" else Prepacked
    dtype = next(layers.parameters()).dtype
    if not (all(can_replace(layer, dtype) for layer in layers) and (quantization == "int8" or can_prepack(dtype))):
        return False
    allowed = INT8_ERROR if quantization else FLOAT32_ERROR if dtype == torch.float32 else BFLOAT16_ERROR
    problem = _problem(layers, rotary, attend, make, allowed)
    if problem is not None:
        warnings.warn(
            f"layers with prepacked weights {problem} on this CPU in {dtype}; transformers' own layers are used",
            stacklevel=6,
        )
        return False
    last = len(layers) - 1
    for number, layer in enumerate(layers):
        layers[number] = CpuLayer(layer, -1 if number == last else number, attend, make)
    return True


def _problem(layers: nn.ModuleList, rotary: Any, attend: Attention, make: Make, allowed: float) -> str | None:
    """Compare the first layer and the last one with those of transformers; return what is wrong, or None."""
    for number in {0, len(layers) - 1}:
        is_last = number == len(layers) - 1
        try:
            own = CpuLayer(layers[number], -1 if is_last else number, attend, make)
            error = _error(own, layers[number], rotary, attend, is_last=is_last)
        except RuntimeError as refusal:  # by oneDNN, of shapes that the small matrices of can_prepack do not have
            if is_out_of_memory(refusal):
                raise
            return f"are not possible ({shorten(str(refusal), 200)})"
        if not error <= allowed:
            return f"are not right (relative error {error:.1g})"
    return None


def _error(own: CpuLayer, layer: Any, rotary: Any, attend: Attention, *, is_last: bool) -> float:
    """
    Run both layers on random input and compare what they add to it, for the last tokens of some rows.

    The input is small, so that in 16 bits what is added is not rounded to the input's steps; the norms make it large again.
    """
    wanted_of = LastLayer(layer, nn.Identity(), attend, None)
    weight = next(layer.parameters())
    batch = layout.packed([[0] * length for length in (19, 9, 9, 1)], weight.device)
    width, draw = attention_of(layer).config.hidden_size, torch.Generator("cpu").manual_seed(0)
    hidden = (torch.randn(batch.tokens, width, generator=draw, device="cpu") * INPUT).to(weight.dtype)
    angles = rotary(hidden[None], batch.positions)
    wanted = wanted_of(hidden, None, angles, batch).float() - hidden[batch.last].float()
    found = own.last(hidden, None, angles, batch) if is_last else own(hidden, angles, batch)[batch.last]
    return float((found.float() - hidden[batch.last].float() - wanted).norm() / wanted.norm())
