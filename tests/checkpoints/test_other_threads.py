"""What other threads and later changes of a file do to weights: nothing."""

from __future__ import annotations

import itertools
import os
import shutil
import threading

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.checkpoints.loading import load
from bmretriever_integrations.testing import ARCHITECTURES

TEXTS = ["aspirin", "sickle cell anaemia in children"]


@pytest.fixture
def other_loads():
    """Until the test ends, another thread sets PyTorch's default number type as transformers does while it loads float16."""
    stop = threading.Event()

    def toggle():
        for dtype in itertools.cycle([torch.float16, torch.float32]):
            torch.set_default_dtype(dtype)
            if stop.wait(0.0005):
                return

    thread = threading.Thread(target=toggle)
    thread.start()
    yield
    stop.set()
    thread.join()
    torch.set_default_dtype(torch.float32)


def states(folder, dtype):
    network = load(str(folder), dtype).network
    return {name: tensor.clone() for name, tensor in [*network.named_parameters(), *network.named_buffers()]}


@pytest.fixture(params=[*ARCHITECTURES, "mini"])
def folder(request, tiny):
    return "mini" if request.param == "mini" else tiny(request.param)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_are_those_of_the_file_while_another_thread_loads(folder, dtype, request):
    right = states(folder, dtype)
    request.getfixturevalue("other_loads")
    for _ in range(2 if folder == "mini" else 12):  # a load of mini takes as long as all of the others
        found = states(folder, dtype)
        assert found.keys() == right.keys()
        for name, tensor in found.items():
            assert tensor.dtype in (right[name].dtype, torch.float32), name  # the network rounds its buffers itself
            assert torch.equal(tensor.to(right[name].dtype), right[name]), name


def test_merged_weights_are_right_while_another_thread_loads(tiny, tmp_path, request):
    peft = pytest.importorskip("peft")
    from transformers import AutoModel

    config = peft.LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False)
    peft.get_peft_model(AutoModel.from_pretrained(tiny("llama")), config).save_pretrained(tmp_path)
    right = states(tmp_path, torch.float32)
    request.getfixturevalue("other_loads")
    for _ in range(4):
        found = states(tmp_path, torch.float32)
        assert all(torch.equal(found[name], tensor) for name, tensor in right.items())


@pytest.mark.parametrize("change", ["other weights", "a shorter file"])
def test_a_running_engine_does_not_notice_changes_of_its_file(tiny, tmp_path, change):
    folder = shutil.copytree(tiny("llama"), tmp_path / "running")
    weights = folder / "model.safetensors"
    encoder = BMRetrieverEncoder(folder, dtype="float32", device="cpu")
    before = encoder.encode_passages(TEXTS)
    if change == "other weights":
        save_file({name: tensor * 2 for name, tensor in load_file(weights).items()}, tmp_path / "new")
        content = (tmp_path / "new").read_bytes()
        assert len(content) <= weights.stat().st_size + 1000
        with weights.open("r+b") as file:  # the same file, as cp writes it
            file.write(content)
    else:
        os.truncate(weights, 1000)
    assert np.array_equal(encoder.encode_passages(TEXTS), before)


def test_weights_for_another_device_may_stay_mapped(tiny):
    right = states(tiny("llama"), torch.float32)
    found = load(str(tiny("llama")), torch.float32, mapped=True).network
    assert all(torch.equal(right[name], tensor) for name, tensor in found.named_parameters())


def test_rotary_frequencies_are_not_rounded(folder):
    network = load(str(folder), torch.bfloat16).network
    exact = load(str(folder), torch.float32).network
    assert {parameter.dtype for parameter in network.parameters()} == {torch.bfloat16}
    assert torch.equal(network.rotary_emb.inv_freq, exact.rotary_emb.inv_freq)
