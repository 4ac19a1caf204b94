"""
Compute attention by two batched products with a softmax between them, which is faster in bfloat16 on a CPU without AMX.

PyTorch's fused attention computes the scores block by block, so that it never holds all of them. For texts of some hundred tokens
all scores of a text fit into a cache. Without AMX the small products of the blocks take longer than two large ones: on two cores
of an AMD EPYC, 2.5 ms for 300 tokens and the 16 heads of 410M, against 1.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bmretriever_integrations.forward.attention import Scope, fused_attention, grouped, of_group

SCORES = 2**21
"""The most scores that are computed at once, if one row has no more: 4 MB in bfloat16, which a CPU's cache holds."""
FEWEST_SCORES = 2**14
"""For fewer scores in a row, one call of PyTorch's scaled dot-product attention is faster than the calls here."""


def batched(query: Tensor, key: Tensor, value: Tensor, scope: Scope) -> Tensor:
    """
    Attend group by group; see :data:`~bmretriever_integrations.forward.attention.Attention`.

    Padded layouts, and layers in which only each row's last token attends, use PyTorch's scaled dot-product attention.
    """
    layout = scope.layout
    if len(query) == len(layout.spans) or layout.spans != layout.lengths:
        return grouped(query, key, value, scope)
    output = torch.empty_like(query, memory_format=torch.contiguous_format)
    output[layout.tokens :] = 0  # what only fills the batch up
    for group in layout.groups:
        keys, values = of_group(key, value, scope.before, group)
        queries, into = (
            part[group.tokens].view(group.rows, group.length, *query.shape[1:]).transpose(1, 2)
            for part in (query, output)
        )
        mask = layout.mask(group.length, keys.shape[2], scope.window, query.dtype)
        of_a_row = query.shape[1] * mask.numel()
        if of_a_row < FEWEST_SCORES:
            into.copy_(fused_attention(queries, keys, values, mask, scope.scale))
            continue
        few = max(1, SCORES // of_a_row)
        for first in range(0, group.rows, few):
            rows = slice(first, first + few)
            into[rows] = attend_in_rows(queries[rows], keys[rows], values[rows], mask, scope.scale)
    return output


def attend_in_rows(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float) -> Tensor:
    """
    Attend in a few rows of one length.

    :param query: *Shape:* (rows, heads, tokens, head width)
    :param key: *Shape:* (rows, key-value heads, keys, head width)
    :param value: *Shape:* as ``key``
    :param mask: is added to the scores. *Shape:* (tokens, keys)
    :param scale: the factor of the scores.
    :returns: *Shape:* as ``query``
    """
    rows, heads, tokens, width = query.shape
    together = heads // key.shape[1]  # query heads that share a key-value head
    asking = query.reshape(-1, together * tokens, width)
    keys, values = (part.reshape(len(asking), -1, width) for part in (key, value))
    added = mask if together == 1 else mask.repeat(together, 1)
    scores = torch.baddbmm(added.expand(len(asking), -1, -1), asking, keys.transpose(1, 2), alpha=scale)
    return torch.bmm(torch.softmax(scores, dim=-1), values).view(rows, heads, tokens, width)
