"""
The variable-length way without a GPU: PyTorch's kernel is replaced by the plain meaning of its arguments.

What is proved here is everything around the kernel: boundaries, the prefix's keys before every row, windows, head groups. On CUDA
the same tests run with the kernel itself.
"""

from __future__ import annotations

import inspect
from functools import wraps

import pytest
import torch
from torch.nn import functional
from transformers import AutoConfig, AutoModel

from bmretriever_integrations.forward import attention
from bmretriever_integrations.forward import varlen as varlen_module
from bmretriever_integrations.forward.choose import choose_forward, varlen_agrees
from bmretriever_integrations.forward.flat import FlatForward
from bmretriever_integrations.testing import ARCHITECTURES

varlen = pytest.importorskip("torch.nn.attention.varlen", reason="PyTorch before 2.10 has no variable-length attention")


@pytest.fixture
def kernel(monkeypatch, plain_meaning):
    monkeypatch.setattr(varlen, "varlen_attn", plain_meaning)


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


def test_a_kernel_that_aligns_otherwise_is_not_taken(monkeypatch, plain_meaning):
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
    monkeypatch.setattr(varlen, "varlen_attn", plain_meaning)
    assert varlen_agrees(*here)
    for kernel, message in ((top_left, "not right on cpu"), (broken, "does not run on cpu .*no kernel image")):
        varlen_agrees.cache_clear()
        monkeypatch.setattr(varlen, "varlen_attn", kernel)
        with pytest.warns(UserWarning, match=message):
            assert not varlen_agrees(*here)


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
    if form == "operator":
        monkeypatch.setattr(varlen_module, "WANTED", {"an argument that no release has"})
    elif not inspect.signature(varlen.varlen_attn).parameters.keys() >= varlen_module.WANTED:
        pytest.skip("this PyTorch's function takes no grouped heads")
    assert varlen_agrees.__wrapped__(torch.device("cuda"), torch.bfloat16, *heads)


def test_want_of_memory_says_nothing_of_the_kernel(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(attention, "varlen", full)
    with pytest.raises(torch.OutOfMemoryError):
        varlen_agrees.__wrapped__(torch.device("cpu"), torch.float32, 4, 4, 16)
