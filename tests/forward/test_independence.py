"""A row's vector does not depend on its neighbours; a network where it would is refused when it is loaded."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModel

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import reference_encode

SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}


def with_config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return folder


@pytest.fixture
def copied(tiny, tmp_path):
    """A function: architecture -> a checkpoint of it that the test may change."""
    import shutil

    return lambda architecture: shutil.copytree(tiny(architecture), tmp_path / architecture)


@pytest.fixture
def with_network(copied):
    """A function: configuration -> a checkpoint with such a random network and Llama's tokenizer."""

    def write(config):
        folder = copied("llama")
        config.vocab_size = json.loads((folder / "config.json").read_text())["vocab_size"]
        for file in folder.glob("*.safetensors"):
            file.unlink()
        torch.manual_seed(3)
        network = AutoModel.from_config(config)
        for parameter in network.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.1)
        network.save_pretrained(folder)
        return folder

    return write


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("forward", ["auto", "plain"])
@pytest.mark.parametrize(
    "config",
    [
        transformers.BertConfig(**SMALL),
        transformers.RobertaConfig(**SMALL),
        transformers.ModernBertConfig(**SMALL, pad_token_id=0, bos_token_id=0, cls_token_id=0, sep_token_id=0),
    ],
    ids=lambda config: config.model_type,
)
def test_encoders_are_refused(with_network, config, forward, dtype):
    with pytest.raises(ValueError, match=r"is not causal|no decoder"):
        BMRetrieverEncoder(with_network(config), dtype=dtype, device="cpu", forward=forward)


@pytest.mark.parametrize("forward", ["auto", "plain", "packed"])
def test_a_bidirectional_llama_is_refused(copied, forward):
    folder = with_config(copied("llama"), is_causal=False)
    network = AutoModel.from_pretrained(folder)
    ids = torch.tensor([[5, 6, 7, 8]])
    if torch.allclose(network(ids).last_hidden_state[0, 0], network(ids[:, :1]).last_hidden_state[0, 0], atol=1e-4):
        pytest.skip("this transformers runs it causally all the same")
    with pytest.raises(ValueError, match="causal"):
        BMRetrieverEncoder(folder, dtype="float32", device="cpu", forward=forward)


@pytest.mark.parametrize(
    "config",
    [
        transformers.Qwen2Config(**SMALL, num_key_value_heads=2),
        transformers.PhiConfig(**SMALL),
    ],
    ids=lambda config: config.model_type,
)
def test_other_causal_families_run(with_network, config):
    folder = with_network(config)
    texts = ["fever", "a longer text about fever and cough " * 5, "cough"]
    with BMRetrieverEncoder(folder, dtype="float32", device="cpu") as encoder:
        assert "plain" in repr(encoder)
        vectors = encoder.encode_passages(texts)
    expected = reference_encode(folder, [passage_prompt(text) for text in texts])
    assert np.abs(vectors - expected).max() <= 1e-5 * np.abs(expected).max()


def test_positions_that_depend_on_the_longest_row_are_computed_row_by_row(copied):
    factor = 64 // 4 // 2
    rope = {"rope_type": "longrope", "short_factor": [1.0] * factor, "long_factor": [4.0] * factor, "rope_theta": 1e4}
    folder = with_config(
        copied("llama"),
        rope_scaling={**rope, "original_max_position_embeddings": 32},
        rope_parameters={**rope, "original_max_position_embeddings": 32},
        original_max_position_embeddings=32,
    )
    texts = ["fever", "a longer text about fever and cough " * 20, "cough", "short of breath"]
    with BMRetrieverEncoder(folder, dtype="float32", device="cpu") as encoder:
        vectors = encoder.encode_passages(texts)
        alone = np.concatenate([encoder.encode_passages([text]) for text in texts])
    expected = reference_encode(folder, [passage_prompt(text) for text in texts])
    for found in (vectors, alone):
        assert (np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)).max() <= 1e-5
    with pytest.raises(ValueError, match="positions do not depend"):
        BMRetrieverEncoder(folder, dtype="float32", device="cpu", forward="packed")
