"""What names an engine names the weights that it has loaded, also after its folder was trained again."""

from __future__ import annotations

import json
import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from llama_index.core.storage.kvstore import SimpleKVStore
from transformers import AutoModel

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.checkpoints.fingerprint import fingerprint_on_disk
from bmretriever_integrations.checkpoints.loading import load
from bmretriever_integrations.checkpoints.unchanged import load_unchanged
from bmretriever_integrations.encoder.sharing import EngineLease
from bmretriever_integrations.index import SearchIndex, build_index
from bmretriever_integrations.index.manifest import IndexMismatch
from bmretriever_integrations.llama_index import BMRetrieverEmbedding
from bmretriever_integrations.ray_data import BMRetrieverBatchEmbedder
from bmretriever_integrations.settings import EncoderSettings
from bmretriever_integrations.testing import write_tiny_checkpoint


@pytest.fixture
def folder(tmp_path):
    return write_tiny_checkpoint(tmp_path / "model", "llama", seed=1)


def test_an_engine_keeps_the_name_of_what_it_loaded(folder, tmp_path, write_jsonl):
    with BMRetrieverEncoder(folder, dtype="float32") as encoder:
        before = encoder.identity()
        write_tiny_checkpoint(folder, "llama", seed=2)
        assert encoder.identity() == before
        assert fingerprint_on_disk(str(folder)) != encoder.fingerprint
        build_index(encoder, [write_jsonl(tmp_path / "c.jsonl", 5)], tmp_path / "index")
    with pytest.raises(IndexMismatch, match="SHA-256"):
        SearchIndex.open(tmp_path / "index").open_encoder()


def test_new_callers_get_the_new_weights_and_old_ones_keep_theirs(folder):
    settings = EncoderSettings(model=str(folder), dtype="float32")
    old = EngineLease(settings)
    vector = old.engine.encode_passages(["fever"])
    write_tiny_checkpoint(folder, "llama", seed=2)
    new = EngineLease(settings)
    again = EngineLease(settings)
    assert new.engine is not old.engine
    assert again.engine is new.engine
    assert not np.allclose(new.engine.encode_passages(["fever"]), vector)
    assert np.array_equal(old.engine.encode_passages(["fever"]), vector)
    for lease in (old, new, again):
        lease.release()


def test_llama_index_caches_vectors_under_the_weights_that_made_them(folder):
    cache = SimpleKVStore()
    old = BMRetrieverEmbedding(model_name=str(folder), dtype="float32", embeddings_cache=cache)
    first = old.get_text_embedding("fever")
    write_tiny_checkpoint(folder, "llama", seed=2)
    cough = old.get_text_embedding("cough")  # computed by the old weights, after the new ones were written
    new = BMRetrieverEmbedding(model_name=str(folder), dtype="float32", embeddings_cache=cache)
    alone = BMRetrieverEmbedding(model_name=str(folder), dtype="float32")
    for text, stale in (("fever", first), ("cough", cough)):
        assert new.get_text_embedding(text) == alone.get_text_embedding(text) != stale
        assert old.get_text_embedding(text) == stale
    for embedding in (old, new, alone):
        embedding.close()


def test_a_cache_hit_loads_no_model(folder):
    cache = SimpleKVStore()
    with_model = BMRetrieverEmbedding(model_name=str(folder), embeddings_cache=cache)
    vector = with_model.get_text_embedding("fever")
    with_model.close()
    (folder / "model.safetensors").rename(folder / "away")
    weights = (folder / "away").read_bytes()
    assert BMRetrieverEmbedding(model_name=str(folder)).model_name  # settings alone need no weights
    (folder / "model.safetensors").write_bytes(weights)
    before = BMRetrieverEmbedding(model_name=str(folder), embeddings_cache=cache)
    assert before.get_text_embedding("fever") == vector


def test_a_pickled_batch_embedder_names_its_weights(folder):
    pickled = pickle.dumps(BMRetrieverBatchEmbedder(str(folder)))
    assert pickle.dumps(BMRetrieverBatchEmbedder(str(folder))) == pickled
    write_tiny_checkpoint(folder, "llama", seed=2)
    assert pickle.dumps(BMRetrieverBatchEmbedder(str(folder))) != pickled
    with pytest.raises(ValueError, match="other weights here"):
        pickle.loads(pickled)({"text": np.array(["fever"])})


@pytest.mark.parametrize(
    ("name", "decides"),
    [
        ("special_tokens_map.json", True),
        ("tokenizer_config.json", True),
        ("added_tokens.json", True),
        ("config.json", True),
        ("generation_config.json", False),
        ("README.md", False),
        ("training_args.json", False),
    ],
)
def test_the_fingerprint_covers_the_files_that_decide_vectors(folder, name, decides):
    before = fingerprint_on_disk(str(folder))
    path = folder / name
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, "eos_token": "<other>"}))
    assert (fingerprint_on_disk(str(folder)) != before) == decides


def test_a_copy_has_the_same_fingerprint(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    assert fingerprint_on_disk(str(copy)) == fingerprint_on_disk(str(folder))
    assert fingerprint_on_disk(str(tmp_path / "nowhere")) is None
    with BMRetrieverEncoder(copy) as encoder, BMRetrieverEncoder("mini") as mini:
        assert encoder.fingerprint == fingerprint_on_disk(str(folder))
        assert mini.fingerprint == fingerprint_on_disk("mini")


def test_a_file_that_was_overwritten_with_its_former_time_has_another_fingerprint(folder, tmp_path):
    """Copying tools write into the same file and set its time of modification, e.g. rsync --inplace --times."""
    before = fingerprint_on_disk(str(folder))
    weights = folder / "model.safetensors"
    state = weights.stat()
    other = write_tiny_checkpoint(tmp_path / "other", "llama", seed=2)
    with weights.open("r+b") as file:
        file.write((other / "model.safetensors").read_bytes())
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert weights.stat().st_ino == state.st_ino
    assert fingerprint_on_disk(str(folder)) not in (None, before)


def test_files_that_change_while_they_are_read_are_read_again(folder):
    seeds = iter([2, None])

    def changing():
        loaded = load(str(folder), torch.float32)
        if (seed := next(seeds)) is not None:
            write_tiny_checkpoint(folder, "llama", seed=seed)
        return loaded

    loaded, name = load_unchanged(changing, str(folder), None)
    assert name == fingerprint_on_disk(str(folder))
    expected = load(str(folder), torch.float32).network.state_dict()
    assert all(value.equal(expected[key]) for key, value in loaded.network.state_dict().items())


def test_files_that_always_change_are_refused(folder):
    seeds = iter(range(2, 100))

    def changing():
        loaded = load(str(folder), torch.float32)
        write_tiny_checkpoint(folder, "llama", seed=next(seeds))
        return loaded

    with pytest.raises(RuntimeError, match="changed each time"):
        load_unchanged(changing, str(folder), None)


def test_an_autocast_around_a_call_changes_no_vector(folder):
    texts = ["fever", "cough " * 50]
    with BMRetrieverEncoder(folder, dtype="float32", device="cpu") as encoder:
        expected = encoder.encode_passages(texts)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert np.array_equal(encoder.encode_passages(texts), expected)
            assert torch.is_autocast_enabled("cpu")  # the caller's own work keeps it


@pytest.mark.parametrize(("dtype", "named"), [("float32", True), ("bfloat16", False)])
def test_less_exact_products_of_float32_are_named(folder, dtype, named):
    with BMRetrieverEncoder(folder, dtype=dtype, device="cpu") as encoder:
        assert "float32_matmul" not in encoder.identity()
        torch.set_float32_matmul_precision("medium")
        try:
            assert (encoder.identity().get("float32_matmul") == "medium") == named
        finally:
            torch.set_float32_matmul_precision("highest")


def wrapped(folder, path, modules):
    """Write a sentence-transformers folder of the older form, whose network lies in a folder of its own."""
    names = {"0_Transformer": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    for name in modules:
        (path / name).mkdir(parents=True)
    shutil.copytree(folder, path / modules[0], dirs_exist_ok=True)
    (path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "lasttoken"}))
    listed = [
        {"idx": number, "name": str(number), "path": name, "type": f"sentence_transformers.models.{names[name]}"}
        for number, name in enumerate(modules)
    ]
    (path / "modules.json").write_text(json.dumps(listed))
    return path


@pytest.mark.parametrize("layout", ["plain", "wrapped", "adapter", "wrapped adapter", "mini"])
def test_the_name_on_disk_is_that_of_the_loaded_engine(folder, tmp_path, layout):
    model = "mini" if layout == "mini" else folder
    if "adapter" in layout:
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(target_modules=["q_proj"], init_lora_weights=False)
        adapted = get_peft_model(AutoModel.from_pretrained(folder), config)
        adapted.save_pretrained(tmp_path / "adapter")
        model = tmp_path / "adapter"
    if "wrapped" in layout:
        model = wrapped(model, tmp_path / "wrapped", ["0_Transformer", "1_Pooling"])
    with BMRetrieverEncoder(model) as encoder:
        assert encoder.fingerprint == fingerprint_on_disk(str(model)) is not None


def test_folders_that_normalise_or_not_have_different_names(folder, tmp_path):
    cache = SimpleKVStore()
    plain = wrapped(folder, tmp_path / "a", ["0_Transformer", "1_Pooling"])
    unit = wrapped(folder, tmp_path / "b", ["0_Transformer", "1_Pooling", "2_Normalize"])
    assert fingerprint_on_disk(str(plain)) != fingerprint_on_disk(str(unit))
    vectors = []
    for path in (plain, unit):
        embedding = BMRetrieverEmbedding(model_name=str(path), dtype="float32", embeddings_cache=cache)
        vectors.append(embedding.get_text_embedding("fever"))
        embedding.close()
    assert np.linalg.norm(vectors[0]) > 1.5
    assert np.linalg.norm(vectors[1]) == pytest.approx(1, abs=1e-5)


def test_a_change_of_an_adapters_base_changes_its_name(folder, tmp_path):
    from peft import LoraConfig, get_peft_model

    get_peft_model(AutoModel.from_pretrained(folder), LoraConfig(target_modules=["q_proj"])).save_pretrained(
        tmp_path / "adapter"
    )
    before = fingerprint_on_disk(str(tmp_path / "adapter"))
    write_tiny_checkpoint(folder, "llama", seed=2)
    assert fingerprint_on_disk(str(tmp_path / "adapter")) != before
