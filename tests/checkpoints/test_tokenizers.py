"""Tokenizers that are missing, damaged, or do not fit their network are refused when a checkpoint is loaded."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from transformers import AutoTokenizer

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.checkpoints.int8_storage import pack
from bmretriever_integrations.testing import ARCHITECTURES

VOCABULARY = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt")


def without_vocabulary(folder):
    for name in VOCABULARY:
        (folder / name).unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("config", [True, False])
def test_a_plain_folder_without_vocabulary(tiny, tmp_path, architecture, config):
    folder = without_vocabulary(shutil.copytree(tiny(architecture), tmp_path / "plain"))
    if not config:
        (folder / "tokenizer_config.json").unlink()
    with pytest.raises(ValueError, match=r"plain has no tokenizer: none of tokenizer\.json"):
        BMRetrieverEncoder(folder)


def test_the_other_layouts_without_vocabulary(tiny, exported, tmp_path):
    peft = pytest.importorskip("peft")
    from transformers import AutoModel

    folder = without_vocabulary(shutil.copytree(exported("gemma"), tmp_path / "sentence"))
    with pytest.raises(ValueError, match="sentence has no tokenizer"):
        BMRetrieverEncoder(folder)
    pack(tiny("llama"), tmp_path / "int8")
    with pytest.raises(ValueError, match="int8 has no tokenizer"):
        BMRetrieverEncoder(without_vocabulary(tmp_path / "int8"))
    base = without_vocabulary(shutil.copytree(tiny("gpt_neox"), tmp_path / "base"))
    wrapped = peft.get_peft_model(AutoModel.from_pretrained(base), peft.LoraConfig(target_modules=["query_key_value"]))
    wrapped.save_pretrained(tmp_path / "adapter")
    with pytest.raises(ValueError, match="base has no tokenizer"):
        BMRetrieverEncoder(tmp_path / "adapter")


def test_a_tokenizer_that_gives_all_texts_the_same_ids(tiny, tmp_path):
    from tokenizers import Tokenizer, models

    folder = shutil.copytree(tiny("llama"), tmp_path / "unknown")
    only = {"<unk>": 0, "<|im_end|>": 1}
    Tokenizer(models.WordLevel(only, unk_token="<unk>")).save(str(folder / "tokenizer.json"))
    with pytest.raises(ValueError, match="gives different texts the same ids"):
        BMRetrieverEncoder(folder)
    Tokenizer(models.BPE()).save(str(folder / "tokenizer.json"))
    with pytest.raises(ValueError, match="gives different texts the same ids, or none"):
        BMRetrieverEncoder(folder)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("there", [True, False])
def test_a_tokenizer_outside_of_the_folder_is_not_read(tiny, tmp_path, architecture, there):
    """transformers 4 would read it; such paths stay in files that were written on another machine."""
    other = tiny("gpt_neox" if architecture != "gpt_neox" else "gemma") / "tokenizer.json"
    folder = shutil.copytree(tiny(architecture), tmp_path / "elsewhere")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["tokenizer_file"] = str(other if there else tmp_path / "missing.json")
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    texts = ["aspirin lowers fever"]
    vectors = BMRetrieverEncoder(folder, device="cpu").encode_passages(texts)
    assert np.array_equal(vectors, BMRetrieverEncoder(tiny(architecture), device="cpu").encode_passages(texts))


def test_a_vocabulary_without_its_unknown_token(tiny, tmp_path):
    """Every text that needs that token makes the tokenizers library raise a plain Exception."""
    folder = shutil.copytree(tiny("gemma"), tmp_path / "unknown")
    whole = json.loads((folder / "tokenizer.json").read_text())
    whole["model"].update(vocab={}, merges=[])
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    with pytest.raises(ValueError, match="unknown: the tokenizer cannot tokenize 'aspirin lowers fever'"):
        BMRetrieverEncoder(folder)


def test_more_tokens_than_rows(tiny, tmp_path):
    folder = shutil.copytree(tiny("llama"), tmp_path / "more")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["fever"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ValueError, match=r"the tokenizer has (\d+) tokens, but the network's embedding has \d+ rows"):
        BMRetrieverEncoder(folder)


@pytest.mark.parametrize("architecture", ["llama", "gemma"])
def test_special_tokens_without_a_row_are_plain_text(tiny, tmp_path, architecture):
    """transformers adds "<mask>" to every Gemma tokenizer; people add padding tokens."""
    folder = shutil.copytree(tiny(architecture), tmp_path / "special")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    texts = ["a <mask> b", "a [PAD] b", "fever"]
    found = BMRetrieverEncoder(folder, dtype="float32").encode_passages(texts)
    assert np.isfinite(found).all()
    plain = BMRetrieverEncoder(tiny(architecture), dtype="float32").encode_passages(texts)
    np.testing.assert_allclose(found, plain, rtol=1e-5, atol=1e-6)


def test_an_end_of_sequence_without_a_row(tiny, tmp_path):
    folder = shutil.copytree(tiny("llama"), tmp_path / "end")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"eos_token": "[END]"})
    tokenizer.save_pretrained(folder)
    with pytest.raises(ValueError, match="but the network's embedding has"):
        BMRetrieverEncoder(folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000])
def test_damaged_files(tiny, tmp_path, name, content):
    folder = shutil.copytree(tiny("gpt_neox"), tmp_path / "damaged")
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=rf"damaged.*{name}") as caught:
        BMRetrieverEncoder(folder)
    assert "\n" not in str(caught.value)


def test_a_class_with_code_of_its_own(tiny, tmp_path):
    folder = shutil.copytree(tiny("llama"), tmp_path / "own")
    path = folder / "tokenizer_config.json"
    own = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}}
    path.write_text(json.dumps({**json.loads(path.read_text()), **own}))
    (folder / "tokenization_own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ValueError, match="code of its own, which is never run"):
        BMRetrieverEncoder(folder)
    assert not (tmp_path / "ran").exists()
