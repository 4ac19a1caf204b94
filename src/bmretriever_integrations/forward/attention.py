"""
Compute attention over a flat batch: a token attends to the shared prefix, to the earlier tokens of its row and to itself.

There are two ways here with the same result; :mod:`~bmretriever_integrations.forward.batched_attention` has a third. PyTorch's
scaled dot-product attention needs one call for each group of neighbouring rows of equal length, and works on any device and in
any number type. PyTorch's variable-length kernel needs one call for the whole batch, and works on CUDA in bfloat16 or float16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bmretriever_integrations.forward.layout import Group, KeysAndValues, Layout
from bmretriever_integrations.forward.varlen import varlen_kernel


@dataclass(frozen=True)
class Scope:
    """The tokens of a flat batch to which a token may attend in one layer, and the scale of the scores."""

    layout: Layout
    """The layout of the flat batch."""
    scale: float
    """The factor of the scores."""
    window: int | None
    """The number of tokens to which a token attends, itself included; None means all earlier tokens."""
    before: KeysAndValues | None
    """Keys and values of the shared prefix in this layer; None without a prefix."""


Attention = Callable[[Tensor, Tensor, Tensor, Scope], Tensor]
"""A function of (query, key, value, scope) that computes attention; its result has the shape of the query.

The query has the *Shape:* (tokens, heads, head width) or, where only each row's last token attends, (rows, heads, head width);
key and value have the shape (tokens, key-value heads, head width)."""


def grouped(query: Tensor, key: Tensor, value: Tensor, scope: Scope) -> Tensor:
    """Attend group by group; see :data:`Attention`."""
    layout, window = scope.layout, scope.window
    output = torch.empty_like(query)
    output[layout.tokens :] = 0  # what only fills the batch up
    last_only = len(query) == len(layout.spans)
    for group in layout.groups:
        keys, values = of_group(key, value, scope.before, group)
        if last_only:
            asking = slice(group.first_row, group.first_row + group.rows)
            mask, is_causal = _mask_of_last(group, keys.shape[2], window, layout), False
        else:
            asking = group.tokens
            is_causal = keys.shape[2] == group.length and (window is None or window >= group.length)
            mask = None if is_causal else layout.mask(group.length, keys.shape[2], window, query.dtype)
        queries = query[asking].view(group.rows, -1, *query.shape[1:]).transpose(1, 2)
        attended = fused_attention(queries, keys, values, mask, scope.scale, is_causal=is_causal)
        output[asking] = attended.transpose(1, 2).reshape(-1, *query.shape[1:])
    return output


def fused_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, *, is_causal: bool = False
) -> Tensor:
    """Call PyTorch's scaled dot-product attention. *Shape:* (rows, heads, tokens, head width) each; the mask as it takes it"""
    return functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=is_causal, scale=scale, enable_gqa=True
    )


def of_group(key: Tensor, value: Tensor, before: KeysAndValues | None, group: Group) -> Iterator[Tensor]:
    """Yield a group's keys, then its values, after the prefix's. *Shape:* (rows, key-value heads, tokens, head width)"""
    for position, part in enumerate((key, value)):
        own = part[group.tokens].view(group.rows, group.length, *part.shape[1:])
        if before is not None:
            own = torch.cat((before[position].expand(group.rows, -1, -1, -1), own), dim=1)
        yield own.transpose(1, 2)


def _mask_of_last(group: Group, keys: int, window: int | None, layout: Layout) -> Tensor | None:
    """Make the mask for each row's last token; None if it attends to all keys. *Shape:* (rows, 1, 1, keys) bool"""
    rows = slice(group.first_row, group.first_row + group.rows)
    unpadded = all(length == group.length for length in layout.lengths[rows])
    if unpadded and (window is None or window >= keys):
        return None
    last = (layout.last[rows] - layout.starts[rows] + layout.before)[:, None]
    distance = last - torch.arange(keys, device=layout.device)
    seen = distance >= 0
    return (seen if window is None else seen & (distance < window))[:, None, None]


def varlen(query: Tensor, key: Tensor, value: Tensor, scope: Scope) -> Tensor:
    """Attend in one call of the variable-length kernel. The kernel does not support padding, so padded layouts use groups."""
    layout, before = scope.layout, scope.before
    if layout.spans != layout.lengths and not layout.is_resizable:
        return grouped(query, key, value, scope)
    query, key, value = (_in_16_bits(part) for part in (query, key, value))
    longest = max(layout.spans)
    if (
        before is not None
    ):  # each row gets a copy of the prefix's keys; that costs little, as the MLP takes most of the time
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
    """Cast to 16 bits under autocast: rotation gives float32 there, and autocast casts only PyTorch's other attention."""
    is_cast = part.is_cuda and part.dtype is torch.float32 and torch.is_autocast_enabled("cuda")
    return part.to(torch.get_autocast_dtype("cuda")) if is_cast else part


def _neighbours(window: int | None, last_only: bool) -> tuple[int, int]:
    """Give the kernel's window: how many keys a query attends to on its left and right. The queries belong to the last keys."""
    if window is None:
        return (-1, -1) if last_only else (-1, 0)
    return (window - 1, 0)  # transformers counts the token itself, and the kernel does not


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
    Attend in one layer. Store its keys and values where the layout asks for it, and put the shared prefix's before them.

    :param number: the number of the layer, from 0; -1 is the last.
    :param attend: the function that computes attention.
    :param parts: query, key and value after rotation, with the shapes of :data:`Attention`.
    :param layout: the layout of the flat batch.
    :param scale: the factor of the scores.
    :param window: the number of tokens to which a token attends, itself included; None means all earlier tokens.
    :returns: *Shape:* as the query
    """
    query, key, value = parts
    if layout.kept is not None:
        layout.kept.append((key[: layout.tokens], value[: layout.tokens]))
    before = None if layout.prefix is None else layout.prefix.layers[number]
    return attend(query, key, value, Scope(layout, scale, window, before))
