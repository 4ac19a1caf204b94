"""Training without padding: the vectors and gradients of padded rows."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModel

from bmretriever_integrations.testing import ARCHITECTURES
from bmretriever_integrations.training.stages import network as networks
from bmretriever_integrations.training.stages.network import LastTokenVectors, can_pack
from bmretriever_integrations.training.stages.settings import StageSettings

varlen = pytest.importorskip("torch.nn.attention.varlen", reason="PyTorch before 2.10 has no variable-length attention")


def batch(device="cpu"):
    ids = torch.randint(5, 100, (4, 20), device=device)
    mask = torch.ones_like(ids)
    for row, length in enumerate((20, 13, 13, 2)):
        mask[row, length:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def vectors_and_gradients(network, packs, features, autocast=False):
    network.zero_grad()
    module = LastTokenVectors(network, normalize=True, packs=packs)
    with torch.autocast(features["input_ids"].device.type, torch.bfloat16, enabled=autocast):
        vectors = module(features)["sentence_embedding"]
    (vectors.float() @ vectors.float().T / 0.05).logsumexp(1).sum().backward()
    return vectors.detach().float(), {name: weights.grad.clone() for name, weights in network.named_parameters()}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_rows_give_what_padded_ones_give(tiny, monkeypatch, plain_meaning, architecture):
    monkeypatch.setattr(varlen, "varlen_attn", plain_meaning)
    torch.manual_seed(0)
    network = AutoModel.from_config(AutoConfig.from_pretrained(tiny(architecture), use_cache=False)).train()
    features = batch()
    computed = []
    network.layers[0].register_forward_hook(lambda _module, inputs, _output: computed.append(inputs[0].shape[1]))
    padded, expected = vectors_and_gradients(network, False, features)
    packed, gradients = vectors_and_gradients(network, True, features)
    assert computed == [80, 48]  # the real tokens alone
    torch.testing.assert_close(packed, padded, rtol=1e-5, atol=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("bf16", "cuda", "packs"), [(True, True, True), (False, True, False), (True, False, False)])
def test_a_stage_packs_on_cuda_in_bfloat16(tiny, monkeypatch, bf16, cuda, packs):
    network = AutoModel.from_pretrained(tiny("llama"))
    monkeypatch.setattr("bmretriever_integrations.forward.choose.varlen_agrees", lambda *_: True)
    monkeypatch.setattr(networks, "resolve_device", lambda _device: torch.device("cuda" if cuda else "cpu"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (9, 0))
    assert can_pack(network, StageSettings(batch_size=2, learning_rate=1e-3, max_steps=1, bf16=bf16)) is packs


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_on_cuda_packed_training_follows_padded_training(tiny, architecture):
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(tiny(architecture), use_cache=False)
    network = AutoModel.from_config(config).train().cuda()
    features = batch("cuda")
    _, exact = vectors_and_gradients(network, False, features)
    packed, gradients = vectors_and_gradients(network, True, features, autocast=True)
    padded, expected = vectors_and_gradients(network, False, features, autocast=True)
    assert torch.nn.functional.cosine_similarity(packed, padded).min() >= 0.999
    for name, gradient in gradients.items():  # as far from float32 as the padded way in bfloat16
        wrong = (expected[name] - exact[name]).norm()
        assert (gradient - exact[name]).norm() <= 3 * wrong + 0.02 * exact[name].norm() + 1e-4
