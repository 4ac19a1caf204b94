"""The plain meaning of the variable-length kernel's arguments, in place of the kernel where there is no GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from bmretriever_integrations.forward.choose import varlen_agrees
from bmretriever_integrations.forward.varlen import varlen_kernel


def _plain_meaning(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size, enable_gqa):
    """Row by row, in float32; the queries are the last of their row's keys, as FlashAttention aligns them."""
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    longest = [(ends[1:] - ends[:-1]).max() for ends in (cu_seq_q, cu_seq_k)]
    assert [max_q, max_k] == longest or len(cu_seq_q) == 2  # a recorded graph's one row may be shorter than its shape
    assert max_q >= longest[0]
    assert max_k >= longest[1]
    assert enable_gqa == (query.shape[1] != key.shape[1])
    output = torch.full_like(query, torch.nan)  # the kernel leaves what no row asks for as the memory was
    for row in range(len(cu_seq_q) - 1):
        mine = query[cu_seq_q[row] : cu_seq_q[row + 1]].transpose(0, 1)
        keys, values = (part[cu_seq_k[row] : cu_seq_k[row + 1]].transpose(0, 1) for part in (key, value))
        count, total = mine.shape[1], keys.shape[1]
        distance = torch.arange(total - count, total)[:, None] - torch.arange(total)
        left, right = window_size
        seen = torch.ones(count, total, dtype=torch.bool)
        if left >= 0:
            seen &= distance <= left
        if right >= 0:
            seen &= distance >= -right
        attended = functional.scaled_dot_product_attention(
            mine, keys, values, attn_mask=seen, scale=scale, enable_gqa=enable_gqa
        )
        output[cu_seq_q[row] : cu_seq_q[row + 1]] = attended.transpose(0, 1)
    return output


@pytest.fixture
def plain_meaning() -> Callable[..., Tensor]:
    """Stands in for ``torch.nn.attention.varlen.varlen_attn`` as PyTorch 2.12 has it."""
    return _plain_meaning


@pytest.fixture(autouse=True)
def kernel_is_chosen_anew() -> Iterator[None]:
    """Tests put other kernels in its place."""
    for cached in (varlen_kernel, varlen_agrees):
        cached.cache_clear()
    yield
    for cached in (varlen_kernel, varlen_agrees):
        cached.cache_clear()
