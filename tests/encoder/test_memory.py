"""Out of memory: the budget is halved and the work goes on, down to one row."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import AutoModel

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.device import CPU_TOKENS, GPU_TOKENS, choose_batch_tokens, is_out_of_memory

TEXTS = [f"dose {number} " * (number % 30 + 1) for number in range(60)]


@pytest.fixture
def short_of_memory(watch):
    """Make engines fail as a device does when a batch has more than ``most_tokens`` tokens."""

    def limit(most_tokens, error):
        sizes = []

        def limited(run, lengths):
            sizes.append(sum(lengths))  # on the CPU no row is padded
            if sizes[-1] > most_tokens:
                raise error
            return run()

        watch(limited)
        return sizes

    return limit


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes."),
        MemoryError(),
    ],
)
def test_halves_the_budget_and_goes_on(tiny, short_of_memory, error):
    encoder = BMRetrieverEncoder(tiny("llama"), dtype="float32", max_batch_tokens=4000)
    expected = encoder.encode_passages(TEXTS)
    sizes = short_of_memory(700, error)
    vectors = encoder.encode_passages(TEXTS)
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)
    assert sizes[0] > 700
    assert encoder.max_batch_tokens <= 700
    tried = len(sizes)
    encoder.encode_passages(TEXTS)
    assert all(size <= 700 for size in sizes[tried:])  # what was learnt is kept


def test_one_row_too_large_raises_the_original_error_with_advice(tiny, short_of_memory):
    encoder = BMRetrieverEncoder(tiny("llama"))
    error = torch.OutOfMemoryError("CUDA out of memory")
    short_of_memory(3, error)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        encoder.encode_passages(TEXTS)
    assert raised.value is error
    assert "smaller checkpoint" in raised.value.__notes__[0]
    with pytest.raises(torch.OutOfMemoryError):  # and the engine is not left locked
        encoder.encode_passages(["again"])


def test_other_errors_are_left_alone(tiny, short_of_memory):
    encoder = BMRetrieverEncoder(tiny("llama"))
    budget = encoder.max_batch_tokens
    sizes = short_of_memory(3, RuntimeError("CUDA error: an illegal memory access was encountered"))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        encoder.encode_passages(TEXTS)
    assert len(sizes) == 1
    assert encoder.max_batch_tokens == budget
    assert not is_out_of_memory(RuntimeError("size mismatch"))


def test_budget_follows_free_memory(tiny, monkeypatch):
    network = AutoModel.from_pretrained(tiny("llama"))
    for kind, most in (("cuda", GPU_TOKENS), ("mps", GPU_TOKENS), ("cpu", CPU_TOKENS)):
        budgets = []
        for free in (2**20, 2**24, 2**40):
            device_has(monkeypatch, free)
            budgets.append(choose_batch_tokens(network, torch.device(kind)))
        assert budgets[0] == 512
        assert budgets == sorted(budgets)
        assert budgets[-1] == most


def device_has(monkeypatch, free):
    """Let each kind of device tell of so many free bytes."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2**41))
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: free + 1000)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 1000)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_AVPHYS_PAGES": free // 4096}.__getitem__)


def test_where_the_system_does_not_tell_there_is_room_enough(tiny, monkeypatch):
    network = AutoModel.from_pretrained(tiny("llama"))
    monkeypatch.delattr(os, "sysconf")
    assert choose_batch_tokens(network, torch.device("cpu")) == CPU_TOKENS


def test_max_batch_tokens_bounds_every_batch(tiny, short_of_memory):
    encoder = BMRetrieverEncoder(tiny("llama"), max_batch_tokens=300)
    sizes = short_of_memory(10**9, AssertionError())
    encoder.encode_passages(TEXTS)
    assert max(sizes) <= 300
    assert len(sizes) > 5


FAULTS = """
import resource, sys
import torch
from bmretriever_integrations.encoder.batches import tokens_of
from bmretriever_integrations.device import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for turn in range(24):
    block = torch.ones(16_000_000)  # 64 MB
    del block
    if turn == 18:  # by then the heap has grown to what it needs
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_kept_memory_is_not_fetched_again():
    def faults(how):
        done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    given_back = faults("leave")
    assert given_back > 100  # 5 x 64 MB, in pages of 4 kB or 2 MB
    assert faults("keep") < given_back / 2  # none, once the heap has settled
