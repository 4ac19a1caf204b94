"""Texts that are longer than max_length are counted, and said once."""

from __future__ import annotations

import warnings

import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.encoder import CutTextWarning
from bmretriever_integrations.parallel import EncoderPool
from bmretriever_integrations.testing import ARCHITECTURES, write_tiny_checkpoint


@pytest.fixture
def long_texts() -> list[str]:
    return ["fever " * 30, "fever " * 900, "cough " * 901, "cough " * 901]


def test_cut_texts_are_counted_and_warned_of_once(tmp_path, long_texts):
    folder = write_tiny_checkpoint(tmp_path, "llama", seed=101)  # weights that no other test warned of
    with BMRetrieverEncoder(folder) as encoder:
        encoder.encode_passages(long_texts[:1])
        assert encoder.cut_texts == 0
        with pytest.warns(CutTextWarning, match=r"2 of 3 texts have more than 512 tokens"):
            encoder.encode_passages(long_texts)
        assert encoder.cut_texts == 2
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            encoder.encode_queries(long_texts[1:2])
        assert encoder.cut_texts == 3
        assert encoder.view(progress=False, max_batch_tokens=64).cut_texts == 3
    with BMRetrieverEncoder(folder, max_length=64) as shorter, pytest.warns(CutTextWarning, match="64 tokens"):
        shorter.encode_passages(["fever " * 100])


def test_a_pool_counts_what_its_workers_cut(tmp_path, long_texts):
    folder = write_tiny_checkpoint(tmp_path, "llama", seed=102)
    with EncoderPool(folder, devices=["cpu", "cpu"]) as pool:
        with pytest.warns(CutTextWarning, match="2 of 3 texts"):
            pool.encode_passages(long_texts)
        assert pool.cut_texts == 2
        pool.encode_queries(["fever"])
        assert pool.cut_texts == 2


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("word", ["fever ", "Fieber", "α-synuclein, ", "(p<0.05) "])
def test_a_passage_of_passage_tokens_is_embedded_whole(tiny, architecture, word):
    with BMRetrieverEncoder(tiny(architecture), max_length=64) as encoder:
        text = ""
        while len(encoder.text_tokens(f"A title {text + word}")) <= encoder.passage_tokens:
            text += word
        encoder.encode_passages([text], ["A title"])
        assert encoder.cut_texts == 0
        encoder.encode_passages([text + 8 * word], ["A title"])
        assert encoder.cut_texts == 1


def test_text_tokens_are_not_cut_and_have_no_special_tokens(encoder):
    ids = encoder.text_tokens("fever " * 900)
    assert len(ids) > 800
    assert encoder.tokenizer.eos_id not in ids
    assert encoder.text_tokens("") == []
