"""LoRA adapters as people train them: on the network with its head, on some layers, with new tokens; and unusual bases."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.encoder import PassageCounter
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import ARCHITECTURES, write_tiny_checkpoint

peft = pytest.importorskip("peft")
TEXTS = ["aspirin lowers fever", "", "heart " * 40]
TARGETS = {"gpt_neox": ["query_key_value", "dense_h_to_4h"]}


def targets(architecture):
    return TARGETS.get(architecture, ["q_proj", "down_proj"])


def hidden(wrapped, tokenizer):
    """The vectors that peft's own network gives: the last hidden state of the last token."""
    rows = []
    for text in TEXTS:
        ids = [*tokenizer(passage_prompt(text))["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            decoder = wrapped.base_model.model.base_model
            rows.append(decoder(input_ids=torch.tensor([ids])).last_hidden_state[0, -1].numpy())
    return np.stack(rows)


def train(raw, folder, tokens=(), **options):
    """Save an adapter whose weights all differ from zero, and return the vectors that peft gives with it."""
    tokenizer = AutoTokenizer.from_pretrained(raw)
    network = AutoModelForCausalLM.from_pretrained(raw)
    if tokens:
        tokenizer.add_tokens(list(tokens))
        network.resize_token_embeddings(len(tokenizer))
    torch.manual_seed(0)
    wrapped = peft.get_peft_model(
        network, peft.LoraConfig(r=4, init_lora_weights=False, task_type="CAUSAL_LM", **options)
    )
    for name, parameter in wrapped.named_parameters():
        if "modules_to_save" in name:
            parameter.data += 0.05 * torch.randn_like(parameter)
    wrapped.save_pretrained(folder)
    if tokens:
        tokenizer.save_pretrained(folder)
    return hidden(wrapped.eval(), tokenizer)


def passages(folder, dtype="float32"):
    with BMRetrieverEncoder(folder, device="cpu", dtype=dtype) as encoder:
        return encoder.encode_passages(TEXTS)


def counted_alike(folder):
    """Whether the tokenizer alone gives the ids of the engine."""
    with BMRetrieverEncoder(folder, device="cpu") as encoder:
        counter = PassageCounter(folder)
        return all(counter.text_tokens(text) == encoder.text_tokens(text) for text in TEXTS)


HEAD = {"gpt_neox": "embed_out"} if int(transformers.__version__.split(".")[0]) < 5 else {}
EMBEDDING = {"gpt_neox": "embed_in"}


def options(kind, architecture):
    head, layers = HEAD.get(architecture, "lm_head"), targets(architecture)
    name = f"{'gpt_neox' if architecture == 'gpt_neox' else 'model'}.layers"
    return {
        "plain": {"target_modules": layers},
        "target the head": {"target_modules": [*layers, head]},
        "save the head": {"target_modules": layers, "modules_to_save": [head]},
        "some layers": {"target_modules": layers, "layers_to_transform": [1]},
        "expression": {"target_modules": rf"{name}.*\.1\..*({'|'.join(layers)})".replace(".layers", r"\.layers")},
        "dora": {"target_modules": layers, "use_dora": True},
        "all biases": {"target_modules": layers, "bias": "all"},
    }[kind]


@pytest.mark.filterwarnings("ignore:.*(tie_word_embeddings|tied|save_embedding_layers).*:UserWarning")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    "kind", ["plain", "target the head", "save the head", "some layers", "expression", "dora", "all biases"]
)
def test_adapters_of_the_network_with_its_head(tiny, tmp_path, error, architecture, kind):
    right = train(tiny(architecture), tmp_path, **options(kind, architecture))
    assert error(passages(tiny(architecture)), right) > 0.01
    assert error(passages(tmp_path), right) <= 1e-5


@pytest.mark.filterwarnings("ignore:.*(tie_word_embeddings|tied|save_embedding_layers).*:UserWarning")
@pytest.mark.parametrize("architecture", ["gpt_neox", "llama"])
@pytest.mark.parametrize("way", ["saved", "resized only"])
def test_adapters_with_new_tokens(tiny, tmp_path, error, architecture, way):
    saved = {"modules_to_save": [EMBEDDING.get(architecture, "embed_tokens")]} if way == "saved" else {}
    tokens = ["fever", "aspirin"]
    right = train(tiny(architecture), tmp_path, tokens, target_modules=targets(architecture), **saved)
    assert error(passages(tmp_path), right) <= 1e-5
    assert counted_alike(tmp_path)


@pytest.mark.filterwarnings("ignore:.*save_embedding_layers.*:UserWarning")
def test_new_tokens_that_are_trained_by_their_rows(tiny, tmp_path, error):
    rows = AutoModelForCausalLM.from_pretrained(tiny("llama")).config.vocab_size
    indices = {"trainable_token_indices": [5, rows, rows + 1]}
    right = train(tiny("llama"), tmp_path, ["fever", "aspirin"], target_modules=targets("llama"), **indices)
    assert error(passages(tmp_path), right) <= 1e-5
    assert counted_alike(tmp_path)


@pytest.mark.filterwarnings("ignore:.*(lora_bias|invalid shape).*:UserWarning")
def test_a_bias_for_a_layer_without_bias(tiny, tmp_path):
    """peft computes such adapters, but cannot merge them."""
    train(tiny("llama"), tmp_path / "biased", target_modules=["q_proj"], lora_bias=True)
    with pytest.raises(ValueError, match=r"biased: the adapter cannot be merged into its base .*lora_bias=True"):
        passages(tmp_path / "biased")


def test_small_shifts_arrive_in_bfloat16(tmp_path):
    """A shift below half of bfloat16's step of its weight is lost where both are rounded before they are added."""
    write_tiny_checkpoint(tmp_path / "base", "llama")
    state = load_file(tmp_path / "base" / "model.safetensors")
    train(tmp_path / "base", tmp_path / "adapter", target_modules=["q_proj"])
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    small = {name: tensor * 0.02 for name, tensor in load_file(path).items()}
    save_file(small, path)
    from bmretriever_integrations.checkpoints.loading import load

    merged = load(str(tmp_path / "adapter"), torch.bfloat16).network.state_dict()
    name = "layers.0.self_attn.q_proj.weight"
    key = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    shift = small[key.format("B")] @ small[key.format("A")] * config["lora_alpha"] / config["r"]
    assert shift.abs().max() < 0.01
    assert torch.equal(merged[name], (state[name] + shift).bfloat16())


def write(folder, **values):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture
def adapter(tiny, tmp_path):
    train(tiny("llama"), tmp_path / "adapter", target_modules=["q_proj"])
    return tmp_path / "adapter"


@pytest.mark.parametrize("base", ["", " ", None, 5])
def test_a_base_that_is_not_named(adapter, base):
    write(adapter, base_model_name_or_path=base)
    with pytest.raises(ValueError, match=r"adapter_config\.json names no base .*set it to the hub id or folder"):
        BMRetrieverEncoder(adapter)


def test_a_config_without_base(adapter):
    path = adapter / "adapter_config.json"
    config = json.loads(path.read_text())
    del config["base_model_name_or_path"]
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="names no base"):
        BMRetrieverEncoder(adapter)


def test_a_base_that_is_the_adapter_itself(adapter):
    for base in (".", str(adapter), "../adapter"):
        write(adapter, base_model_name_or_path=base)
        with pytest.raises(ValueError, match="names its own folder as base"):
            BMRetrieverEncoder(adapter)
    second = shutil.copytree(adapter, adapter.parent / "second")
    write(adapter, base_model_name_or_path=str(second))
    write(second, base_model_name_or_path=str(adapter))
    with pytest.raises(ValueError, match="this adapter is its own base"):
        BMRetrieverEncoder(adapter)


def test_the_base_of_another_machine(adapter, tiny):
    expected = passages(adapter)
    write(adapter, base_model_name_or_path="/home/elsewhere/base")
    with pytest.raises(
        FileNotFoundError, match=r"the base of the adapter .*adapter cannot be loaded: .*/home/elsewhere/base.*write"
    ):
        BMRetrieverEncoder(adapter)
    shutil.copytree(tiny("llama"), adapter / "base")
    write(adapter, base_model_name_or_path="base")
    np.testing.assert_allclose(passages(adapter), expected, rtol=1e-5, atol=1e-6)


def test_the_base_s_revision_is_honoured(adapter, tiny, tmp_path, monkeypatch, error):
    expected = passages(adapter)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--some--base"
    write_tiny_checkpoint(repository / "snapshots" / ("a" * 40), "llama", seed=5)
    shutil.copytree(tiny("llama"), repository / "snapshots" / ("b" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    write(adapter, base_model_name_or_path="some/base", revision="b" * 40)
    assert error(passages(adapter), expected) <= 1e-5
    write(adapter, revision=None)
    assert error(passages(adapter), expected) > 0.05


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"peft_type": "NEW"}, "peft_type must be LORA, got 'NEW'"),
        ({"peft_type": "IA3"}, "peft_type must be LORA, got 'IA3'"),
        ({"megatron_config": {"a": 1}, "megatron_core": "evil"}, "adapters with megatron_config cannot be merged"),
    ],
)
def test_adapters_that_are_not_merged(adapter, values, message):
    write(adapter, **values)
    with pytest.raises(ValueError, match=message):
        BMRetrieverEncoder(adapter)


def test_damaged_adapters(adapter):
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"adapter_model\.safetensors is damaged or incomplete"):
        BMRetrieverEncoder(adapter)
    (adapter / "adapter_config.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"adapter_config\.json is not valid JSON"):
        BMRetrieverEncoder(adapter)
