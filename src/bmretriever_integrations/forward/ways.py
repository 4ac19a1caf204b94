"""The ways to compute attention by their names, under which the layers of transformers call them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from bmretriever_integrations.forward.attention import Attention, attend_in_layer, grouped, varlen
from bmretriever_integrations.forward.batched_attention import batched
from bmretriever_integrations.forward.layout import Layout


def _interface(attend: Attention) -> Callable[..., tuple[Tensor, None]]:
    """Adapt a function to transformers, which gives one flat batch of *Shape:* (1, heads, tokens, head width) and the layout."""

    def attention(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        _mask: None,
        *,
        layout: Layout,
        scaling: float,
        sliding_window: int | None = None,
        **_unused: Any,
    ) -> tuple[Tensor, None]:
        parts = query[0].transpose(0, 1), key[0].transpose(0, 1), value[0].transpose(0, 1)
        attended = attend_in_layer(module.layer_idx, attend, parts, layout, scale=scaling, window=sliding_window)
        return attended[None], None

    return attention


_outside_compiled: Callable[[Any], Any] = torch.compiler.disable
WAYS: dict[str, Attention] = {"grouped": grouped, "batched": batched, "varlen": varlen}
"""Maps the name of each way to compute attention to its function."""
for _name, _attend in WAYS.items():
    # Attention is not compiled, because its shapes change with the rows of each batch; those of the other operations do not.
    ALL_ATTENTION_FUNCTIONS.register(f"bmretriever_{_name}", _outside_compiled(_interface(_attend)))
