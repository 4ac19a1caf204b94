"""The counter that loads a tokenizer alone has the engine's numbers."""

from __future__ import annotations

import json
import pickle
import shutil

import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.encoder import PassageCounter

TEXTS = [
    "",
    "Metformin lowers HbA1c.",
    "α-synuclein 🧬 حمى  two  spaces\n",
    "</s> <|endoftext|> <mask> <eos>",
    "x" * 999,
]


def same(counter, engine):
    assert counter.passage_tokens == engine.passage_tokens
    assert counter.settings.max_length == engine.settings.max_length
    for text in TEXTS:
        assert counter.text_tokens(text) == engine.text_tokens(text)


@pytest.mark.parametrize("architecture", ["gpt_neox", "gemma", "mistral", "llama"])
def test_its_numbers_are_the_engines(tiny, architecture):
    for length in (64, 512):
        with BMRetrieverEncoder(tiny(architecture), max_length=length, device="cpu") as engine:
            same(PassageCounter(tiny(architecture), max_length=length), engine)


def test_a_folder_of_sentence_transformers_says_how_long_texts_are(exported, tmp_path):
    folder = shutil.copytree(exported("llama"), tmp_path / "short")
    inner = next(folder.rglob("sentence_bert_config.json"))
    inner.write_text(json.dumps({**json.loads(inner.read_text()), "max_seq_length": 100}))
    with BMRetrieverEncoder(folder, device="cpu") as engine:
        assert engine.passage_tokens < 100
        same(PassageCounter(folder), engine)
    with pytest.raises(ValueError, match="max_length must be at most 100"):
        PassageCounter(folder, max_length=200)


def test_it_needs_no_weights(tiny, tmp_path):
    folder = shutil.copytree(tiny("gemma"), tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    assert PassageCounter(folder).text_tokens("aspirin") == PassageCounter(tiny("gemma")).text_tokens("aspirin")


def test_a_pickle_holds_no_vocabulary_and_no_token():
    counter = PassageCounter("mini", max_length=100, token="hf_secret")
    data = pickle.dumps(counter)
    assert len(data) < 1_000
    assert b"hf_secret" not in data
    again = pickle.loads(data)
    assert (again.passage_tokens, again.text_tokens("IL-6")) == (counter.passage_tokens, counter.text_tokens("IL-6"))
    assert "max_length=100" in repr(again)


def test_what_the_engine_refuses_is_refused(tiny, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder, no hub id"):
        PassageCounter("41OM")
    with pytest.raises(ValueError, match="is no checkpoint"):
        PassageCounter(tmp_path)
    with pytest.raises(ValueError, match="max_length must be at most"):
        PassageCounter(tiny("llama"), max_length=10**9)
