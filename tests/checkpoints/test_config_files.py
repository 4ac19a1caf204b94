"""No key of a checkpoint's settings brings code in or reads other weights, in any layout, before anything is loaded."""

from __future__ import annotations

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.checkpoints.int8_storage import pack


def change(folder, values, name="config.json"):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return folder


@pytest.fixture
def no_network(monkeypatch):
    """No network is read or made, and no tokenizer."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("something was loaded before the check")

    for name in ("AutoModel", "AutoTokenizer", "AutoConfig"):
        monkeypatch.setattr(f"transformers.{name}.from_pretrained", refuse)


KEYS = [
    {"_attn_implementation": "evil/kernels"},
    {"attn_implementation": "evil/kernels@main:layer"},
    {"_attn_implementation_internal": "paged|evil/kernels"},
    {"attn_implementation": {"text_config": "evil/kernels"}},
    {"text_config": {"inner": [{"_attn_implementation": "evil/kernels"}]}},
    {"_experts_implementation": "evil/experts"},
    {"_attn_implementation": "flash_attention_2"},
]


@pytest.mark.parametrize("values", KEYS)
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_implementations_from_the_hub(tiny, tmp_path, no_network, values, name):
    folder = change(shutil.copytree(tiny("llama"), tmp_path / "plain"), values, name)
    with pytest.raises(ValueError, match=rf"{name}: the key '\w*_implementation\w*' asks for .* code may be fetched"):
        BMRetrieverEncoder(folder)


@pytest.fixture
def sentence(exported, tmp_path):
    """A folder of sentence-transformers."""
    return shutil.copytree(exported("llama"), tmp_path / "sentence")


def test_implementations_from_the_hub_in_the_other_layouts(tiny, sentence, tmp_path, no_network):
    message = "_attn_implementation' asks for 'evil/kernels'"
    with pytest.raises(ValueError, match=message):
        BMRetrieverEncoder(change(sentence, KEYS[0]))
    base = change(shutil.copytree(tiny("llama"), tmp_path / "base"), KEYS[0])
    (tmp_path / "adapter").mkdir()
    config = {"peft_type": "LORA", "base_model_name_or_path": str(base)}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        BMRetrieverEncoder(tmp_path / "adapter")


def test_implementations_from_the_hub_beside_int8_rows(tiny, tmp_path):
    pack(tiny("llama"), tmp_path)
    with pytest.raises(ValueError, match="asks for 'evil/kernels'"):
        BMRetrieverEncoder(change(tmp_path, KEYS[0]))


@pytest.mark.parametrize(
    "values", [{"_attn_implementation": "sdpa"}, {"_attn_implementation_autoset": True}, {"return_dict": False}]
)
def test_harmless_keys_are_taken(tiny, tmp_path, values):
    folder = change(shutil.copytree(tiny("llama"), tmp_path / "plain"), values)
    assert BMRetrieverEncoder(folder).encode_passages(["a"]).shape == (1, 64)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"transformers_weights": "other.bin"}, "the key 'transformers_weights' names a file of weights"),
        (
            {"quantization_config": {"quant_method": "bitsandbytes"}},
            "'quantization_config' says that the weights are quantised",
        ),
        ({"model_type": "timm_backbone"}, "model_type 'timm_backbone' is no decoder"),
        ({"model_type": None}, "model_type None is no decoder"),
        ({"model_type": ["llama"]}, r"model_type \['llama'\] is no decoder"),
        (
            {"num_hidden_layers": 1},
            r"config\.json says that there are 1 layers, but the weights have more, e\.g\. layers\.1\.",
        ),
        ({"num_hidden_layers": 3}, r"weights are missing, e\.g\. layers\.2\."),
        ({"num_attention_heads": 0}, "cannot build the network"),
        ({"hidden_size": 63}, "cannot build the network"),
        ({"hidden_act": "nothing"}, "cannot build the network"),
    ],
)
def test_settings_that_are_refused(tiny, tmp_path, values, message):
    folder = change(shutil.copytree(tiny("llama"), tmp_path / "plain"), values)
    with pytest.raises(ValueError, match=message) as caught:
        BMRetrieverEncoder(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100_000, '{"a":' * 100_000])
def test_a_damaged_config(tiny, tmp_path, content):
    folder = shutil.copytree(tiny("llama"), tmp_path / "plain")
    (folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json (is not valid JSON|must hold a JSON object)"):
        BMRetrieverEncoder(folder)


@pytest.mark.parametrize("size", [0, 7, 500, 100_000])
def test_truncated_weights(tiny, tmp_path, size):
    folder = shutil.copytree(tiny("llama"), tmp_path / "plain")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged or incomplete"):
        BMRetrieverEncoder(folder)
    pack(tiny("llama"), tmp_path)
    path = tmp_path / "model.int8.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"model\.int8\.safetensors is damaged"):
        BMRetrieverEncoder(tmp_path)


def test_an_incomplete_download_is_not_called_pickled(tiny, tmp_path):
    folder = shutil.copytree(tiny("llama"), tmp_path / "plain")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"no \*\.safetensors weights: the download or copy is incomplete"):
        BMRetrieverEncoder(folder)


def test_a_pickle_that_an_index_names_is_not_loaded(tiny, tmp_path):
    import torch

    folder = shutil.copytree(tiny("llama"), tmp_path / "plain")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "weights.bin")
    save_file(tensors, folder / "decoy.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, "weights.bin")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"names the weights 'weights\.bin'; only \.safetensors files"):
        BMRetrieverEncoder(folder)
