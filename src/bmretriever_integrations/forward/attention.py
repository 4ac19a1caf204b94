"""
Attention over a flat batch: a token sees the shared prefix and its own row up to itself.

Two ways with the same result: PyTorch's scaled dot-product attention, one call for each run of rows of equal length (any
device, any number type), and its variable-length kernel, one call for the whole batch (CUDA, bfloat16 or float16).
Both are reached from the layers of a network through transformers' attention interface, under the names below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from bmretriever_integrations.forward.layout import Group, KeysAndValues, Layout
from bmretriever_integrations.forward.varlen import varlen_kernel


@dataclass(frozen=True)
class Scope:
    """What the tokens of a flat batch may see in one layer, and how scores are scaled."""

    layout: Layout
    scale: float
    window: int | None
    """How many tokens a token sees, itself included; None: all before it."""
    before: KeysAndValues | None
    """Keys and values of the shared prefix in this layer; None without a prefix."""


Attention = Callable[[Tensor, Tensor, Tensor, Scope], Tensor]
"""(query, key, value, scope) -> *Shape:* as query.

The query is of *Shape:* (tokens, heads, head width) or, to attend from each row's last token only, (rows, heads, head width);
key and value are of (tokens, key-value heads, head width)."""


def grouped(query: Tensor, key: Tensor, value: Tensor, scope: Scope) -> Tensor:
    """Attend group by group; see :data:`Attention`."""
    layout, window = scope.layout, scope.window
    output = torch.empty_like(query)
    last_only = len(query) == len(layout.spans)
    for group in layout.groups:
        keys, values = _of_group(key, value, scope.before, group)
        if last_only:
            asking = slice(group.first_row, group.first_row + group.rows)
            mask, is_causal = _mask_of_last(group, keys.shape[2], window, layout), False
        else:
            asking = group.tokens
            is_causal = keys.shape[2] == group.length and (window is None or window >= group.length)
            mask = None if is_causal else _band(group.length, keys.shape[2], window, layout.device)
        queries = query[asking].view(group.rows, -1, *query.shape[1:]).transpose(1, 2)
        attended = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=is_causal, scale=scope.scale, enable_gqa=True
        )
        output[asking] = attended.transpose(1, 2).reshape(-1, *query.shape[1:])
    return output


def _of_group(key: Tensor, value: Tensor, before: KeysAndValues | None, group: Group) -> Iterator[Tensor]:
    """Keys, then values, of a group's rows, behind the prefix's. *Shape:* (rows, key-value heads, tokens, head width)"""
    for position, part in enumerate((key, value)):
        own = part[group.tokens].view(group.rows, group.length, *part.shape[1:])
        if before is not None:
            own = torch.cat((before[position].expand(group.rows, -1, -1, -1), own), dim=1)
        yield own.transpose(1, 2)


def _band(queries: int, keys: int, window: int | None, device: torch.device) -> Tensor:
    """Who sees whom when the queries are the last of the keys. *Shape:* (queries, keys) bool"""
    distance = torch.arange(keys - queries, keys, device=device)[:, None] - torch.arange(keys, device=device)
    seen = distance >= 0
    return seen if window is None else seen & (distance < window)


def _mask_of_last(group: Group, keys: int, window: int | None, layout: Layout) -> Tensor | None:
    """What each row's last token sees; None: everything. *Shape:* (rows, 1, 1, keys) bool"""
    rows = slice(group.first_row, group.first_row + group.rows)
    unpadded = all(length == group.length for length in layout.lengths[rows])
    if unpadded and (window is None or window >= keys):
        return None
    last = (layout.last[rows] - layout.starts[rows] + layout.before)[:, None]
    distance = last - torch.arange(keys, device=layout.device)
    seen = distance >= 0
    return (seen if window is None else seen & (distance < window))[:, None, None]


def varlen(query: Tensor, key: Tensor, value: Tensor, scope: Scope) -> Tensor:
    """Attend in one call of the variable-length kernel, which knows no padding: a padded layout goes by groups."""
    layout, before = scope.layout, scope.before
    if layout.spans != layout.lengths and not layout.is_resizable:
        return grouped(query, key, value, scope)
    query, key, value = (_in_16_bits(part) for part in (query, key, value))
    longest = max(layout.spans)
    if before is not None:  # every row's keys stand behind a copy of the prefix's: attention is little beside the MLP
        key, value = (torch.cat((own, part)) for own, part in zip(before, (key, value), strict=True))
        if len(layout.spans) > 1:
            key, value = key[layout.key_places], value[layout.key_places]
    last_only = len(query) == len(layout.spans)
    return varlen_kernel()(
        query,
        key,
        value,
        layout.each_row if last_only else layout.starts,
        layout.key_starts,
        1 if last_only else longest,
        longest + layout.before,
        scale=scope.scale,
        window=_neighbours(scope.window, last_only),
    )


def _in_16_bits(part: Tensor) -> Tensor:
    """Under autocast, rotation gives float32, which the kernel does not take; PyTorch's other attention is cast by autocast."""
    is_cast = part.is_cuda and part.dtype is torch.float32 and torch.is_autocast_enabled("cuda")
    return part.to(torch.get_autocast_dtype("cuda")) if is_cast else part


def _neighbours(window: int | None, last_only: bool) -> tuple[int, int]:
    """How far a token sees to its left and right; the kernel aligns the queries with the last keys."""
    if window is None:
        return (-1, -1) if last_only else (-1, 0)
    return (window - 1, 0)  # transformers counts the token itself, the kernel does not


def attend_in_layer(
    number: int,
    attend: Attention,
    parts: tuple[Tensor, Tensor, Tensor],
    layout: Layout,
    *,
    scale: float,
    window: int | None,
) -> Tensor:
    """
    Attend in one layer: keep its keys and values where they are wanted, and put the shared prefix's before them.

    :param number: the number of the layer, from 0; -1 is the last.
    :param attend: the way attention is computed.
    :param parts: query, key and value, rotated, as of :data:`Attention`.
    :param layout: the layout of the flat batch.
    :param scale: the scale of the scores.
    :param window: how many tokens a token sees, itself included; None: all before it.
    :returns: *Shape:* as the query
    """
    query, key, value = parts
    if layout.kept is not None:
        layout.kept.append((key, value))
    before = None if layout.prefix is None else layout.prefix.layers[number]
    return attend(query, key, value, Scope(layout, scale, window, before))


def _interface(attend: Attention) -> Callable[..., tuple[Tensor, None]]:
    """Wrap a way for transformers: one flat batch of *Shape:* (1, heads, tokens, head width), its layout as a keyword."""

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
WAYS: dict[str, Attention] = {"grouped": grouped, "varlen": varlen}
for _name, _attend in WAYS.items():
    # not compiled: its shapes follow the rows of each batch; what lies before and after it has the same for all
    ALL_ATTENTION_FUNCTIONS.register(f"bmretriever_{_name}", _outside_compiled(_interface(_attend)))
