"""Make a network's layers for the CPU, layer by layer, and compare the first one with the layer of transformers."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from bmretriever_integrations.forward import layout
from bmretriever_integrations.forward.attention import Attention
from bmretriever_integrations.forward.cpu_layer import ACTIVATIONS, CpuLayer, Make
from bmretriever_integrations.forward.last_layer import LastLayer
from bmretriever_integrations.forward.prepacked import Prepacked, can_prepack
from bmretriever_integrations.forward.projections import attention_of
from bmretriever_integrations.forward.quantization import Int8Linear

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
    return type(activation).__name__ in ACTIVATIONS and all(
        type(part) is nn.Linear and part.weight.dtype == dtype for part in linears
    )


@torch.inference_mode()
def replace_layers(layers: nn.ModuleList, rotary: Any, attend: Attention, quantization: str | None) -> bool:
    """
    Replace a network's layers by layers for the CPU, in place. Each old layer's weights are freed at once.

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
    last = len(layers) - 1
    for number, layer in enumerate(layers):
        own = CpuLayer(layer, -1 if number == last else number, attend, make)
        if number == 0 and not _agrees(own, layer, rotary, attend, is_last=last == 0, allowed=allowed):
            return False
        layers[number] = own
    return True


def _agrees(own: CpuLayer, layer: Any, rotary: Any, attend: Attention, *, is_last: bool, allowed: float) -> bool:
    """Run both layers on random input and compare the last tokens of some rows."""
    wanted_of = LastLayer(layer, nn.Identity(), attend, None)
    weight = next(layer.parameters())
    batch = layout.packed([[0] * length for length in (19, 9, 9, 1)], weight.device)
    noise = torch.randn(
        batch.tokens, attention_of(layer).config.hidden_size, generator=torch.Generator().manual_seed(0)
    )
    hidden = noise.to(weight.dtype)
    angles = rotary(hidden[None], batch.positions)
    wanted = wanted_of(hidden, None, angles, batch).float()
    found = own.last(hidden, None, angles, batch) if is_last else own(hidden, angles, batch)[batch.last]
    error = float((found.float() - wanted).norm() / wanted.norm())
    if error <= allowed:
        return True
    warnings.warn(
        f"layers with prepacked weights are not right on this CPU in {weight.dtype} (relative error {error:.1g}); transformers' "
        "own layers are used",
        stacklevel=6,
    )
    return False
