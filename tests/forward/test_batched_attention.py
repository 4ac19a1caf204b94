"""Attention by two batched products: the same as PyTorch's, for every form of batch."""

from __future__ import annotations

import pytest
import torch

from bmretriever_integrations.forward import batched_attention, layout
from bmretriever_integrations.forward.attention import Scope, grouped

LENGTHS = (40, 40, 12, 1, 1)
CPU = torch.device("cpu")


def noise(tokens: int, heads: int, dtype: torch.dtype, seed: int) -> torch.Tensor:
    return torch.randn(tokens, heads, 16, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("prefixed", [True, False])
@pytest.mark.parametrize("window", [None, 9])
@pytest.mark.parametrize("key_heads", [6, 2, 1])
@pytest.mark.parametrize("scores", [2**21, 1])  # all rows of a group at once, and one after another
def test_as_pytorchs(monkeypatch, dtype, prefixed, window, key_heads, scores):
    monkeypatch.setattr(batched_attention, "FEWEST_SCORES", 0)
    monkeypatch.setattr(batched_attention, "SCORES", scores)
    before = (noise(7, key_heads, dtype, 1), noise(7, key_heads, dtype, 2)) if prefixed else None
    prefix = layout.Prefix((1,) * 7, (before,)) if before else None
    batch = layout.packed([[1] * length for length in LENGTHS], CPU, prefix)
    query = noise(batch.tokens, 6, dtype, 3)
    key, value = noise(batch.tokens, key_heads, dtype, 4), noise(batch.tokens, key_heads, dtype, 5)
    scope = Scope(batch, 0.25, window, before)
    found, wanted = batched_attention.batched(query, key, value, scope), grouped(query, key, value, scope)
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.02, "atol": 0.02}
    torch.testing.assert_close(found, wanted, **close)


def test_groups_of_few_scores_take_pytorchs(monkeypatch):
    """Its one call is faster there, and its result is the same to the bit as that of the grouped way."""
    monkeypatch.setattr(batched_attention, "attend_in_rows", None)
    batch = layout.packed([[1] * 5, [1] * 3], CPU)
    parts = [noise(batch.tokens, 2, torch.bfloat16, seed) for seed in range(3)]
    scope = Scope(batch, 0.25, 2, None)
    assert torch.equal(batched_attention.batched(*parts, scope), grouped(*parts, scope))


def test_large_scores_cost_no_more_than_their_rounding():
    """Trained decoders have scores up to a hundred. The truth is computed in float64."""
    batch = layout.packed([[1] * 90, [1] * 90], CPU)
    query, key, value = (noise(batch.tokens, 4, torch.bfloat16, seed) for seed in range(3))
    query = query * 7  # the largest score is about 100
    parts, scope = (query, key, value), Scope(batch, 1.0, None, None)
    truth = grouped(*(part.double() for part in parts), scope)
    found, fused = (way(*parts, scope).double() for way in (batched_attention.batched, grouped))
    assert (query.double() @ key.double().transpose(1, 2)).abs().max() > 50
    assert (found - truth).norm() / truth.norm() < max(0.02, 4 * (fused - truth).norm() / truth.norm())
