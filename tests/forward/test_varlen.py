"""
The variable-length way without a GPU: PyTorch's kernel is replaced by the plain meaning of its arguments.

What is proved here is everything around the kernel: boundaries, the prefix's keys before every row, windows, head groups. On CUDA
the same tests run with the kernel itself.
"""

from __future__ import annotations

import inspect
import sys
from functools import wraps

import pytest
import torch
from torch.nn import functional
from transformers import AutoConfig, AutoModel

from bmretriever_integrations.forward import attention, layout
from bmretriever_integrations.forward import varlen as varlen_module
from bmretriever_integrations.forward.choose import _may_have_varlen, _varlen_agrees, choose_forward
from bmretriever_integrations.forward.flat import FlatForward
from bmretriever_integrations.forward.varlen import varlen_kernel
from bmretriever_integrations.testing import ARCHITECTURES

varlen = pytest.importorskip("torch.nn.attention.varlen", reason="PyTorch before 2.10 has no variable-length attention")


def plain_meaning(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size, enable_gqa):
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
    """2.12 to 2.15."""
    return plain_meaning(
        query,
        key,
        value,
        cu_seq_q,
        cu_seq_k,
        max_q,
        max_k,
        scale=scale,
        window_size=window_size,
        enable_gqa=enable_gqa,
    )


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
    places = cum_seq_q, cum_seq_k, max_q, max_k
    return plain_meaning(query, key, value, *places, scale=scale, window_size=window, enable_gqa=grouped), None, None


RELEASES = {"2.9": None, "2.10": of_2_10, "2.11": of_2_11, "2.12": of_2_12, "2.13": of_2_12}
"""What ``torch.nn.attention.varlen.varlen_attn`` is in each; before 2.10 there is no such module."""


@pytest.fixture
def release(monkeypatch):
    """A function: release of PyTorch -> both names of the kernel are as in it; the list of the names that were called."""

    def pretend(name):
        calls = []
        function = RELEASES[name]
        if function is None:
            monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", None)
            monkeypatch.delattr("torch.nn.attention.varlen")
        else:
            counted = wraps(function)(lambda *a, **k: (calls.append("function"), function(*a, **k))[1])
            monkeypatch.setattr(varlen, "varlen_attn", counted)
        counted_operator = wraps(operator)(lambda *a, **k: (calls.append("operator"), operator(*a, **k))[1])
        monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", counted_operator)
        _varlen_agrees.cache_clear()
        return calls

    yield pretend
    _varlen_agrees.cache_clear()


@pytest.fixture
def kernel(monkeypatch):
    monkeypatch.setattr(varlen, "varlen_attn", plain_meaning)


@pytest.mark.parametrize(
    ("name", "form"),
    [("2.9", "operator"), ("2.10", "operator"), ("2.11", "operator"), ("2.12", "function"), ("2.13", "function")],
)
@pytest.mark.parametrize("heads", [(4, 4, 16), (4, 1, 32), (8, 2, 16)])
def test_every_release_takes_the_packed_way(release, name, form, heads):
    """docs/speed.md has this table. Equal heads as GPT-NeoX's, one pair for all as Gemma's, groups as Mistral's."""
    calls = release(name)
    assert _varlen_agrees(torch.device("cpu"), torch.float32, *heads)
    assert set(calls) == {form}


@pytest.mark.parametrize(("name", "form"), [("2.11", "operator"), ("2.13", "function")])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_auto_is_packed_on_every_release(tiny, release, monkeypatch, name, form, architecture):
    monkeypatch.setattr("bmretriever_integrations.forward.choose._may_have_varlen", lambda *_: True)
    calls = release(name)
    network = AutoModel.from_pretrained(tiny(architecture)).eval()
    rows = [[5, 6, 7, 8, 9], [5, 6, 7], [5]]
    plain = choose_forward(network, 0, "plain")(rows)
    forward = choose_forward(network, 0)
    assert forward.name == "packed, varlen attention"
    calls.clear()
    torch.testing.assert_close(forward(rows), plain, rtol=1e-4, atol=1e-5)
    assert set(calls) == {form}


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
    assert _may_have_varlen(torch.device(kind), dtype) == may


def test_without_a_prefix_queries_and_keys_share_their_boundaries():
    """PyTorch 2.15 takes cuDNN's kernel where both are the same tensor."""
    batch = layout.packed([[1] * 3, [1]], torch.device("cpu"))
    assert batch.key_starts is batch.starts


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("architecture", "window"), [*((name, None) for name in ARCHITECTURES), ("mistral", 10)])
def test_equals_one_row_at_a_time(tiny, kernel, architecture, layers, window):
    torch.manual_seed(layers)
    config = AutoConfig.from_pretrained(tiny(architecture), num_hidden_layers=layers)
    if architecture == "mistral":
        config.sliding_window = window
    network = AutoModel.from_config(config).eval()
    prefix = torch.randint(5, 100, (9,)).tolist()
    rows = [[*prefix, *torch.randint(5, 100, (length,)).tolist()] for length in (31, 12, 12, 5, 1, 1)]
    with torch.inference_mode():
        alone = torch.stack([network(input_ids=torch.tensor([row])).last_hidden_state[0, -1] for row in rows])
    forward = FlatForward(network, 0, way="varlen", pads=False)
    for shared in (0, 4, 9):
        torch.testing.assert_close(forward(rows, shared), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_fixed_shape_longer_than_its_row_is_right_too(tiny, kernel, architecture):
    """What a graph records where the kernel is: the padding behind the row must not be seen."""
    torch.manual_seed(0)
    network = AutoModel.from_config(AutoConfig.from_pretrained(tiny(architecture), num_hidden_layers=3)).eval()
    prefix = torch.randint(5, 100, (9,)).tolist()
    rows = [[*prefix, *torch.randint(5, 100, (length,)).tolist()] for length in (7, 16, 1)]
    with torch.inference_mode():
        alone = torch.stack([network(input_ids=torch.tensor([row])).last_hidden_state[0, -1] for row in rows])
    forward = FlatForward(network, 0, way="varlen", pads=False)
    forward.record(prefix, 16)
    for row, wanted in zip(rows, alone, strict=True):
        torch.testing.assert_close(forward([row], len(prefix))[0], wanted, rtol=1e-4, atol=1e-5)


def test_a_kernel_that_aligns_otherwise_is_not_taken(monkeypatch):
    """Before it is used, the kernel is tried on the device; one that counts from the first key would give plausible vectors."""

    def top_left(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size, enable_gqa):
        first, second = (
            torch.cat([part[start : start + count] for start, count in zip(cu_seq_k, cu_seq_q.diff(), strict=False)])
            for part in (key, value)
        )
        same = {"scale": scale, "window_size": window_size, "enable_gqa": enable_gqa}
        return plain_meaning(query, first, second, cu_seq_q, cu_seq_q, max_q, max_q, **same)

    @wraps(plain_meaning)
    def broken(*_arguments, **_options):
        raise RuntimeError("no kernel image is available for execution on the device")

    here = torch.device("cpu"), torch.float32, 4, 2, 16
    _varlen_agrees.cache_clear()
    monkeypatch.setattr(varlen, "varlen_attn", plain_meaning)
    assert _varlen_agrees(*here)
    for kernel, message in ((top_left, "not right on cpu"), (broken, "does not run on cpu .*no kernel image")):
        _varlen_agrees.cache_clear()
        monkeypatch.setattr(varlen, "varlen_attn", kernel)
        with pytest.warns(UserWarning, match=message):
            assert not _varlen_agrees(*here)
    _varlen_agrees.cache_clear()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_on_cuda_equals_the_plain_way(tiny, architecture):
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(tiny(architecture), num_hidden_layers=3)
    if architecture == "mistral":
        config.sliding_window = 10
    network = AutoModel.from_config(config).eval().to("cuda", torch.bfloat16)
    prefix = torch.randint(5, 100, (9,)).tolist()
    rows = [[*prefix, *torch.randint(5, 100, (length,)).tolist()] for length in (300, 31, 12, 12, 5, 1, 1)]
    plain = choose_forward(network, 0, "plain")(rows).float()
    forward = choose_forward(network, 0)
    assert forward.name.startswith("packed, varlen attention")
    for shared in (0, 9):
        assert functional.cosine_similarity(forward(rows, shared).float(), plain).min() >= 0.999


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    "heads", [(16, 16, 64), (8, 8, 256), (8, 1, 256), (32, 8, 128)], ids=["410M", "1B", "2B", "7B"]
)
@pytest.mark.parametrize("form", ["operator", "function"])
def test_on_cuda_both_forms_are_right_for_the_released_heads(monkeypatch, form, heads):
    kernels = {"operator": varlen_module._by_operator, "function": varlen_module._by_function}
    if form == "function" and varlen_kernel() is not kernels["function"]:
        pytest.skip("this PyTorch's function takes no grouped heads")
    monkeypatch.setattr(attention, "varlen_kernel", lambda: kernels[form])
    assert _varlen_agrees.__wrapped__(torch.device("cuda"), torch.bfloat16, *heads)


def test_want_of_memory_says_nothing_of_the_kernel(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(attention, "varlen", full)
    with pytest.raises(torch.OutOfMemoryError):
        _varlen_agrees.__wrapped__(torch.device("cpu"), torch.float32, 4, 4, 16)
