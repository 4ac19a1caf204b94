"""Where a model comes from: hub cache, folders of three kinds, the package itself; and what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.checkpoints import RELEASED, find_checkpoint
from bmretriever_integrations.checkpoints.int8_storage import pack
from bmretriever_integrations.device import resolve_device
from bmretriever_integrations.testing import reference_encode, write_tiny_checkpoint

TEXTS = ["aspirin", "sickle cell anaemia in children", "fever " * 700]


@pytest.fixture
def hub(tiny, tmp_path, monkeypatch):
    """A hub cache that holds the released 410M's id at its pinned revision, with a tiny checkpoint's files."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    checkpoint = RELEASED[0]
    repository = tmp_path / f"models--{checkpoint.hub_id.replace('/', '--')}"
    shutil.copytree(tiny("gpt_neox"), repository / "snapshots" / checkpoint.revision)
    return tmp_path


@pytest.mark.parametrize("name", ["410M", "410m", "BMRetriever/BMRetriever-410M"])
def test_released_checkpoints_are_pinned_and_found_offline(hub, tiny, name):
    encoder = BMRetrieverEncoder(name, local_files_only=True)
    assert encoder.revision == "e3569bfbcfe3a1bc48c142e11a7b0f38e86065a3"
    expected = BMRetrieverEncoder(tiny("gpt_neox"))
    assert np.array_equal(encoder.encode_queries(TEXTS), expected.encode_queries(TEXTS))
    assert encoder.identity()["files_sha256"] == expected.identity()["files_sha256"]


def test_what_is_not_in_the_cache_is_named_with_a_way_out(hub):
    with pytest.raises(FileNotFoundError, match=r"'BMRetriever/BMRetriever-2B' \(revision 718179af.*model='mini'"):
        BMRetrieverEncoder("2B", local_files_only=True)
    with pytest.raises(FileNotFoundError, match="revision somebranch"):
        BMRetrieverEncoder("410M", revision="somebranch", local_files_only=True)
    with pytest.raises(FileNotFoundError, match="none of '410M', '1B', '2B', '7B', 'small', 'mini'"):
        BMRetrieverEncoder("410B")


def test_a_sentence_transformers_folder(tiny, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    plain = BMRetrieverEncoder(tiny("llama")).encode_passages(TEXTS)
    transformer = Transformer(str(tiny("llama")))
    SentenceTransformer(modules=[transformer, Pooling(64, "lasttoken")], device="cpu").save(str(tmp_path / "last"))
    np.testing.assert_allclose(
        BMRetrieverEncoder(tmp_path / "last").encode_passages(TEXTS), plain, rtol=1e-4, atol=1e-5
    )
    modules = [transformer, Pooling(64, "lasttoken"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "unit"))
    unit = BMRetrieverEncoder(tmp_path / "unit")
    assert unit.normalize
    np.testing.assert_allclose(np.linalg.norm(unit.encode_passages(TEXTS), axis=1), 1, rtol=1e-5)
    SentenceTransformer(modules=[transformer, Pooling(64, "mean")], device="cpu").save(str(tmp_path / "mean"))
    with pytest.raises(ValueError, match=r"pooling is mean|pooling is .*mean"):
        BMRetrieverEncoder(tmp_path / "mean")


@pytest.mark.parametrize("headed", [False, True])
def test_a_lora_adapter_is_merged(tiny, tmp_path, headed):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel, AutoModelForCausalLM

    network = (AutoModelForCausalLM if headed else AutoModel).from_pretrained(tiny("llama"))
    wrapped = get_peft_model(network, LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False))
    wrapped.save_pretrained(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny("llama"))
    merged = wrapped.merge_and_unload()
    (merged.model if headed else merged).save_pretrained(tmp_path / "merged")
    shutil.copy(tiny("llama") / "tokenizer.json", tmp_path / "merged")
    shutil.copy(tiny("llama") / "tokenizer_config.json", tmp_path / "merged")
    encoder = BMRetrieverEncoder(tmp_path / "adapter", dtype="float32")
    expected = reference_encode(
        tmp_path / "merged", [f"Represent this passage\npassage: {text.strip()}" for text in TEXTS]
    )
    np.testing.assert_allclose(encoder.encode_passages(TEXTS), expected, rtol=1e-4, atol=1e-5)
    base = BMRetrieverEncoder(tiny("llama"), dtype="float32")
    assert not np.allclose(base.encode_passages(TEXTS), expected, atol=1e-3)
    assert encoder.identity()["files_sha256"] != base.identity()["files_sha256"]


def test_an_adapter_that_does_not_fit_its_base_is_refused(tiny, tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel

    network = AutoModel.from_pretrained(tiny("gpt_neox"))
    get_peft_model(network, LoraConfig(r=4, target_modules=["query_key_value"])).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    config.update(base_model_name_or_path=str(tiny("llama")), target_modules=["q_proj"])
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="does not fit its base"):
        BMRetrieverEncoder(tmp_path)


def test_small_storage_is_close_to_the_weights_it_packs(tiny, tmp_path):
    pack(tiny("llama"), tmp_path)
    stored = load_file(tmp_path / "model.int8.safetensors")
    assert stored["embed_tokens.weight"].dtype == torch.int8
    packed = BMRetrieverEncoder(tmp_path).encode_passages(TEXTS)
    whole = BMRetrieverEncoder(tiny("llama")).encode_passages(TEXTS)
    cosine = (packed * whole).sum(1) / np.linalg.norm(packed, axis=1) / np.linalg.norm(whole, axis=1)
    assert cosine.min() > 0.999


def test_pickled_weights_are_not_loaded(tiny, tmp_path):
    folder = shutil.copytree(tiny("llama"), tmp_path / "pickled")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"no \*\.safetensors weights"):
        BMRetrieverEncoder(folder)


def test_folders_that_are_no_checkpoint(tmp_path, tiny):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"is no checkpoint.*notes\.txt"):
        BMRetrieverEncoder(tmp_path)
    folder = shutil.copytree(tiny("llama"), tmp_path / "half")
    tensors = load_file(folder / "model.safetensors")
    del tensors["layers.1.mlp.down_proj.weight"]
    from safetensors.torch import save_file

    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"weights are missing, e\.g\. layers\.1\.mlp\.down_proj\.weight"):
        BMRetrieverEncoder(folder)


def test_settings_out_of_range(tiny):
    model = tiny("gpt_neox")
    with pytest.raises(ValueError, match="at most 2048"):
        BMRetrieverEncoder(model, max_length=4096)
    with pytest.raises(ValueError, match="at most 64"):
        BMRetrieverEncoder(model, truncate_dim=65)
    with pytest.raises(ValueError, match="dtype must be one of"):
        BMRetrieverEncoder(model, dtype="int4")
    with pytest.raises(ValueError, match="none that PyTorch knows"):
        BMRetrieverEncoder(model, device="quantum")
    with pytest.raises(TypeError, match="max_length must be an int"):
        BMRetrieverEncoder(model, max_length=12.5)
    with pytest.raises(TypeError, match="unexpected keyword"):
        BMRetrieverEncoder(model, batchsize=8)
    with pytest.raises(ValueError, match="2 titles for 1 texts"):
        BMRetrieverEncoder(model).encode_passages(["a"], ["b", "c"])


def test_repr_says_what_matters_and_hides_the_token(tiny):
    encoder = BMRetrieverEncoder(tiny("llama"), dtype="bfloat16", token="hf_secret", instruction="scifact")
    assert "dtype='bfloat16'" in repr(encoder)
    assert "device='cpu'" in repr(encoder)
    assert "support or refute" in repr(encoder)
    assert "hf_secret" not in repr(encoder) + repr(encoder.settings) + str(encoder.identity())
    encoder.close()
    encoder.close()
    assert "closed" in repr(encoder)


def test_close_frees_the_weights(tiny, new_networks):
    encoder = BMRetrieverEncoder(tiny("llama"))
    assert new_networks()
    encoder.close()
    assert not new_networks()


def test_cuda_without_a_number_is_the_current_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert resolve_device("cuda") == torch.device("cuda", 1)
    assert resolve_device("cuda:0") == torch.device("cuda", 0)


def test_auto_dtype_is_bfloat16_where_the_cpu_has_it(tiny, monkeypatch):
    for has_it, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr("bmretriever_integrations.device.cpu_has_bfloat16", lambda has_it=has_it: has_it)
        assert BMRetrieverEncoder(tiny("llama"), device="cpu").dtype == expected


def test_short_names():
    assert find_checkpoint("7b").width == 4096
    assert find_checkpoint("nobody/else") is None


def test_tiny_checkpoints_differ_by_seed_and_refuse_other_architectures(tmp_path):
    one = load_file(write_tiny_checkpoint(tmp_path / "a", "llama", seed=1) / "model.safetensors")
    two = load_file(write_tiny_checkpoint(tmp_path / "b", "llama", seed=2) / "model.safetensors")
    assert not torch.equal(one["embed_tokens.weight"], two["embed_tokens.weight"])
    with pytest.raises(ValueError, match="must be one of"):
        write_tiny_checkpoint(tmp_path, "bert")


def test_bars_are_shown_only_where_they_are_wanted(tiny, capfd):
    folder = tiny("llama")
    capfd.readouterr()  # of writing it
    encoder = BMRetrieverEncoder(folder)
    encoder.encode_passages(TEXTS)
    assert capfd.readouterr() == ("", "")
    encoder = BMRetrieverEncoder(folder, progress=True)
    if int(transformers.__version__.split(".")[0]) >= 5:  # an older one shows none for a single file
        assert "Loading weights" in capfd.readouterr().err
    encoder.encode_queries(["one question"])
    assert capfd.readouterr() == ("", "")
    encoder.encode_passages(TEXTS)
    assert "embedding passages: 100%" in capfd.readouterr().err
