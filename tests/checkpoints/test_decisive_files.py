"""Which files decide a checkpoint's vectors, and weights that an index of several files may not name."""

from __future__ import annotations

import json
import shutil

import pytest
from transformers import AutoModel

from bmretriever_integrations.checkpoints.decisive_files import decisive_files
from bmretriever_integrations.checkpoints.int8_storage import pack


def names(folder):
    return [path.relative_to(folder).as_posix() for path in decisive_files(folder)]


@pytest.fixture
def sharded(tiny, tmp_path):
    """A tiny checkpoint whose weights lie in several files."""
    folder = tmp_path / "sharded"
    AutoModel.from_pretrained(tiny("llama")).save_pretrained(folder, max_shard_size="100KB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny("llama") / name, folder)
    return folder


def test_a_plain_folder(tiny, tmp_path):
    folder = shutil.copytree(tiny("llama"), tmp_path / "plain")
    expected = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    for name in (
        "README.md",
        "generation_config.json",
        "training_args.bin",
        "chat_template.jinja",
        "optimizer.safetensors",
    ):
        (folder / name).write_text("{}")
    assert names(folder) == expected
    for name in ("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "spiece.model"):
        (folder / name).write_text("{}")
        assert name in names(folder)


def test_weights_in_several_files(sharded):
    parts = sorted(path.name for path in sharded.glob("*.safetensors"))
    assert len(parts) > 1
    assert set(names(sharded)) >= {"model.safetensors.index.json", *parts}
    (sharded / "decoy.safetensors").write_bytes(b"")
    assert "decoy.safetensors" not in names(sharded)


def test_the_other_layouts(tiny, exported, tmp_path):
    pack(tiny("llama"), tmp_path)
    assert "model.int8.safetensors" in names(tmp_path)
    modules = ["1_Pooling/config.json", "modules.json", "sentence_bert_config.json"]
    assert set(names(exported("llama"))) >= {*modules, "model.safetensors", "tokenizer.json"}
    assert "README.md" not in names(exported("llama"))
    assert "config_sentence_transformers.json" not in names(exported("llama"))
    inner = shutil.copytree(exported("llama"), tmp_path / "inner")
    (inner / "0_Transformer").mkdir()
    for path in [*inner.glob("*.safetensors"), *inner.glob("token*"), inner / "config.json"]:
        path.rename(inner / "0_Transformer" / path.name)
    modules = json.loads((inner / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (inner / "modules.json").write_text(json.dumps(modules))
    assert set(names(inner)) >= {"0_Transformer/model.safetensors", "0_Transformer/tokenizer.json", "modules.json"}


@pytest.mark.parametrize(
    "name", ["../model-1.safetensors", "sub/model-1.safetensors", "/tmp/m.safetensors", "model-1.bin"]
)
def test_an_index_may_name_safetensors_of_its_own_folder_only(sharded, name):
    path = sharded / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"][next(iter(index["weight_map"]))] = name
    path.write_text(json.dumps(index))
    with pytest.raises(ValueError, match=f"names the weights {name!r}; only .safetensors files in the same folder"):
        decisive_files(sharded)


def test_a_missing_part_is_named(sharded):
    next(iter(sorted(sharded.glob("model-00002*")))).unlink()
    with pytest.raises(
        FileNotFoundError, match=r"is incomplete: 1 of \d+ files with weights are missing, e\.g\. model-00002"
    ):
        decisive_files(sharded)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"modules\.json is not valid JSON"),
        ("[" * 100_000, r"modules\.json is not valid JSON"),
        ("{}", "must hold a list of modules, it holds a dict"),
        ('[{"type": "sentence_transformers.models.Transformer"}]', "every module needs a type and a path"),
        ('[{"type": "x.Transformer", "path": "../other"}]', r"must lie inside the folder, got '\.\./other'"),
    ],
)
def test_a_damaged_list_of_modules(tiny, tmp_path, content, message):
    folder = shutil.copytree(tiny("llama"), tmp_path / "damaged")
    (folder / "modules.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        decisive_files(folder)
