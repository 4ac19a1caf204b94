"""The matrices before and behind the attention, and the rotation between: where the families differ."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from torch import Tensor

Rotary = tuple[Tensor, Tensor]
"""Cosine and sine of each token's position. *Shape:* (1, tokens, rotated width) each"""


def attention_of(layer: Any) -> Any:
    """
    The attention of a layer.

    :param layer: of GPT-NeoX, Gemma, Llama or Mistral in transformers.
    """
    return layer.attention if hasattr(layer, "attention") else layer.self_attn


def project(attention: Any, asking: Tensor, given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """
    Make queries, keys and values.

    :param attention: of a layer of transformers.
    :param asking: hidden states that ask; the same as ``given`` where GPT-NeoX asks, which has one matrix for the three.
        *Shape:* (queries, width)
    :param given: hidden states that are asked. *Shape:* (tokens, width)
    :returns: *Shape:* (queries, heads, head width), then (tokens, key-value heads, head width) twice
    """
    if hasattr(attention, "query_key_value"):
        width = attention.head_size
        query, key, value = attention.query_key_value(given).view(len(given), -1, 3 * width).chunk(3, dim=-1)
        return query, key, value
    parts = attention.q_proj(asking), attention.k_proj(given), attention.v_proj(given)
    query, key, value = (part.view(len(part), -1, attention.head_dim) for part in parts)
    return query, key, value


def output_projection(attention: Any) -> Any:
    """
    The matrix behind the attention.

    :param attention: of a layer of transformers.
    """
    return attention.dense if hasattr(attention, "dense") else attention.o_proj


def rotation_of(attention: Any) -> Callable[..., tuple[Tensor, Tensor]]:
    """
    The family's own function that rotates queries and keys, from the module that defines its attention.

    :param attention: of a layer of transformers.
    """
    rotate: Callable[..., tuple[Tensor, Tensor]] = sys.modules[type(attention).__module__].apply_rotary_pos_emb
    return rotate
