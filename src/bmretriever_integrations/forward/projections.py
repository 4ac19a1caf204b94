"""Find and apply a layer's projections and its rotation, which differ between the families of networks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional

Rotary = tuple[Tensor, Tensor]
"""Cosine and sine of each token's position. *Shape:* (1, tokens, rotated width) each"""


def attention_of(layer: Any) -> Any:
    """
    Return the attention module of a layer.

    :param layer: a layer of GPT-NeoX, Gemma, Llama or Mistral in transformers.
    """
    return layer.attention if hasattr(layer, "attention") else layer.self_attn


def project(attention: Any, given: Tensor, asking: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """
    Compute queries, keys and values.

    :param attention: the attention module of a layer of transformers.
    :param given: hidden states. *Shape:* (tokens, width)
    :param asking: the places of the tokens that need a query; None means all tokens. *Shape:* (queries,) int64
    :returns: *Shape:* (queries, heads, head width), then (tokens, key-value heads, head width) twice
    """
    if hasattr(attention, "query_key_value"):  # GPT-NeoX has one matrix for the three, head by head
        width = attention.head_size
        query, key, value = attention.query_key_value(given).view(len(given), -1, 3 * width).chunk(3, dim=-1)
        return query if asking is None else query[asking], key, value
    queries = attention.q_proj(given if asking is None else given[asking])
    parts = queries, attention.k_proj(given), attention.v_proj(given)
    query, key, value = (part.view(len(part), -1, attention.head_dim) for part in parts)
    return query, key, value


def look_up(table: Tensor, places: Tensor) -> Tensor:
    """
    Look up keys or values of all tokens in a table of distinct tokens. ``table[places]`` would be slower on a CPU.

    :param table: *Shape:* (distinct, heads, head width)
    :param places: each token's row in the table. *Shape:* (tokens,) int64
    :returns: *Shape:* (tokens, heads, head width)
    """
    return functional.embedding(places, table.flatten(1)).view(len(places), *table.shape[1:])


def window_of(attention: Any) -> int | None:
    """
    Return the number of tokens to which a token attends, itself included, or None for all earlier tokens.

    Of the known families, only Mistral has a window.

    :param attention: the attention module of a layer of transformers.
    """
    if not type(attention).__name__.startswith("Mistral"):
        return None
    window: int | None = getattr(attention.config, "sliding_window", None)
    return window


def output_projection(attention: Any) -> Any:
    """
    Return the output projection of an attention module.

    :param attention: the attention module of a layer of transformers.
    """
    return attention.dense if hasattr(attention, "dense") else attention.o_proj


def rotate_by_transformers(attention: Any, part: Tensor, rotary: Rotary) -> Tensor:
    """
    Rotate queries or keys by the family's own function. transformers defines it in the same module as the attention class.

    :param attention: the attention module of a layer of transformers.
    :param part: *Shape:* (tokens, heads, head width)
    :param rotary: the cosine and sine of each token.
    :returns: *Shape:* as ``part``
    """
    rotate: Callable[..., tuple[Tensor, Tensor]] = sys.modules[type(attention).__module__].apply_rotary_pos_emb
    batch = part.transpose(0, 1)[None]  # (1, heads, tokens, head width), the order of transformers
    none = batch[:, :0]  # the function rotates queries and keys of the same tokens together; here one of them is empty
    return rotate(batch, none, *rotary)[0][0].transpose(0, 1)
