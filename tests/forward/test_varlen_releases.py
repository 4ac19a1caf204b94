"""Which form of the variable-length kernel each release of PyTorch takes: docs/speed.md has this table."""

from __future__ import annotations

import inspect
import sys
from functools import wraps

import pytest
import torch
from transformers import AutoModel

from bmretriever_integrations.forward import layout
from bmretriever_integrations.forward.choose import choose_forward, may_have_varlen, varlen_agrees
from bmretriever_integrations.forward.varlen import varlen_kernel
from bmretriever_integrations.testing import ARCHITECTURES

varlen = pytest.importorskip(
    "torch.nn.attention.varlen", reason="PyTorch before 2.10 has no such module to stand in for"
)


def of_2_10(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, is_causal=False, return_aux=None):
    raise AssertionError("2.10's function has no scale, no windows and no grouped heads")


def of_2_11(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, return_aux=None, scale=None, window_size=(-1, -1)):
    raise AssertionError("2.11's function has no grouped heads")


def of_2_12(
    query,
    key,
    value,
    cu_seq_q,
    cu_seq_k,
    max_q,
    max_k,
    *,
    return_aux=None,
    scale=None,
    window_size=(-1, -1),
    enable_gqa=False,
    seqused_k=None,
    block_table=None,
    num_splits=None,
):
    """2.12 to 2.15: what the fixture ``plain_meaning`` stands in for."""


def operator(
    query,
    key,
    value,
    cum_seq_q,
    cum_seq_k,
    max_q,
    max_k,
    dropout_p,
    is_causal,
    return_debug_mask,
    *,
    scale=None,
    window_size_left=None,
    window_size_right=None,
    seqused_k=None,
    alibi_slopes=None,
):
    """aten::_flash_attention_forward from 2.5 to 2.15; it takes grouped heads as they come."""
    assert (dropout_p, return_debug_mask) == (0.0, False)
    assert is_causal == ((window_size_left, window_size_right) == (-1, 0))
    window, grouped = (window_size_left, window_size_right), query.shape[1] != key.shape[1]
    return (query, key, value, cum_seq_q, cum_seq_k, max_q, max_k), {"window_size": window, "enable_gqa": grouped}


RELEASES = {
    "2.9": (None, "operator"),
    "2.10": (of_2_10, "operator"),
    "2.11": (of_2_11, "operator"),
    "2.12": (of_2_12, "function"),
    "2.13": (of_2_12, "function"),
}
"""What ``torch.nn.attention.varlen.varlen_attn`` is in each, and which name is taken; before 2.10 there is no such module."""


@pytest.fixture
def release(monkeypatch, plain_meaning):
    """A function: release of PyTorch -> both names of the kernel are as in it; the list of the names that were called."""

    def pretend(name):
        calls = []
        function, _ = RELEASES[name]

        @wraps(function or of_2_12)
        def by_function(*given, **options):
            calls.append("function")
            function(*given, **options)  # refuses what it does not know
            return plain_meaning(*given, **options)

        def by_operator(*given, scale, **options):
            calls.append("operator")
            places, rest = operator(*given, scale=scale, **options)
            return plain_meaning(*places, scale=scale, **rest), None, None

        if function is None:
            monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", None)
            monkeypatch.delattr("torch.nn.attention.varlen")
        else:
            monkeypatch.setattr(varlen, "varlen_attn", by_function)
        monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", by_operator)
        return calls

    return pretend


@pytest.mark.parametrize("name", RELEASES)
@pytest.mark.parametrize("heads", [(4, 4, 16), (4, 1, 32), (8, 2, 16)])
def test_every_release_takes_the_packed_way(release, name, heads):
    """Equal heads as GPT-NeoX's, one pair for all as Gemma's, groups as Mistral's."""
    calls = release(name)
    assert varlen_agrees(torch.device("cpu"), torch.float32, *heads)
    assert set(calls) == {RELEASES[name][1]}


@pytest.mark.parametrize("name", RELEASES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_auto_is_packed_on_every_release(tiny, release, monkeypatch, name, architecture):
    monkeypatch.setattr("bmretriever_integrations.forward.choose.may_have_varlen", lambda *_: True)
    calls = release(name)
    network = AutoModel.from_pretrained(tiny(architecture)).eval()
    rows = [[5, 6, 7, 8, 9], [5, 6, 7], [5]]
    plain = choose_forward(network, 0, "plain")(rows)
    forward = choose_forward(network, 0)
    assert forward.name.startswith("packed, varlen attention")
    calls.clear()
    torch.testing.assert_close(forward(rows), plain, rtol=1e-4, atol=1e-5)
    assert set(calls) == {RELEASES[name][1]}


def test_the_kernel_in_this_pytorch_has_the_arguments_that_are_given_to_it():
    """Where a later release renames one, this fails before any GPU does."""
    found = {argument.name for argument in torch.ops.aten._flash_attention_forward.default._schema.arguments}
    assert set(inspect.signature(operator).parameters) <= found
    batch = layout.packed([[1] * 3, [1]], torch.device("cpu"))
    some = torch.randn(4, 2, 16)
    with pytest.raises(NotImplementedError, match="CPU"):  # understood, but there is none for the CPU
        varlen_kernel()(some, some, some, batch.starts, batch.key_starts, 3, 3, scale=1.0, window=(-1, 0))


@pytest.mark.parametrize(
    ("kind", "dtype", "capability", "may"),
    [
        ("cuda", torch.bfloat16, (9, 0), True),
        ("cuda", torch.float16, (8, 0), True),
        ("cuda", torch.float32, (9, 0), False),
        ("cuda", torch.bfloat16, (7, 5), False),
        ("cpu", torch.bfloat16, (9, 0), False),
    ],
)
def test_the_kernel_is_for_ampere_and_later_in_16_bits(monkeypatch, kind, dtype, capability, may):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert may_have_varlen(torch.device(kind), dtype) == may


def test_without_a_prefix_queries_and_keys_share_their_boundaries():
    """PyTorch 2.15 considers cuDNN's kernel only where both are the same tensor."""
    batch = layout.packed([[1] * 3, [1]], torch.device("cpu"))
    assert batch.key_starts is batch.starts
