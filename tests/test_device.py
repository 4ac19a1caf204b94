"""Devices that are not there are refused before anything is loaded; batch sizes for every architecture's names."""

from __future__ import annotations

import shutil

import pytest
import torch

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import reference_encode

TEXTS = ["aspirin lowers fever", "heart " * 40, ""]


def absent():
    """The devices that this machine lacks."""
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "xpu": torch.xpu.is_available(),
    }
    return [name for name, found in there.items() if not found] + ["meta"]


@pytest.mark.parametrize("device", absent())
def test_a_device_that_is_not_there(tiny, monkeypatch, device):
    def refuse(*_args, **_kwargs):
        raise AssertionError("it was loaded before the device was checked")

    monkeypatch.setattr("bmretriever_integrations.checkpoints.loading.load", refuse)
    with pytest.raises(ValueError, match=f"device '{device}' is not") as caught:
        BMRetrieverEncoder(tiny("llama"), device=device)
    assert "\n" not in str(caught.value)


def config_of(kind, rows):
    from transformers import BloomConfig, GPT2Config, OPTConfig

    if kind == "gpt2":
        return GPT2Config(vocab_size=rows, n_embd=64, n_layer=2, n_head=4, n_positions=1024)
    if kind == "bloom":
        return BloomConfig(vocab_size=rows, hidden_size=64, n_layer=2, n_head=4)
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 128}
    return OPTConfig(vocab_size=rows, word_embed_proj_dim=64, max_position_embeddings=1024, **shape)


@pytest.mark.parametrize("kind", ["gpt2", "opt", "bloom"])
def test_architectures_that_name_their_widths_otherwise(tiny, tmp_path, error, kind):
    from transformers import AutoModel, AutoTokenizer

    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny("llama") / name, tmp_path)
    torch.manual_seed(0)
    network = AutoModel.from_config(config_of(kind, len(AutoTokenizer.from_pretrained(tmp_path))))
    for parameter in network.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.1)
    network.save_pretrained(tmp_path)
    right = reference_encode(tmp_path, [passage_prompt(text) for text in TEXTS])
    encoder = BMRetrieverEncoder(tmp_path, device="cpu", dtype="float32")
    assert encoder.max_batch_tokens >= 512
    assert error(encoder.encode_passages(TEXTS), right) <= 1e-5
