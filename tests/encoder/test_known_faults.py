"""What a user gets today without this package: each fault shown on a tiny checkpoint, and the engine right beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import reference_encode

TEXTS = ["Metformin lowers HbA1c.", "sickle cell anaemia", "fever " * 700]
PROMPTS = [passage_prompt(text) for text in TEXTS]


def worst_cosine(vectors, reference):
    product = (vectors * reference).sum(1)
    return (product / np.linalg.norm(vectors, axis=1) / np.linalg.norm(reference, axis=1)).min()


def assert_only_the_engine_is_right(folder, vectors):
    reference = reference_encode(folder, PROMPTS)
    assert worst_cosine(vectors, reference) < 0.999
    ours = BMRetrieverEncoder(folder, dtype="float32").encode_passages(TEXTS)
    assert (np.linalg.norm(ours - reference, axis=1) / np.linalg.norm(reference, axis=1)).max() <= 1e-5


def test_snippet_of_the_authors_readme_raises(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny("gpt_neox"))
    tokenizer.pad_token = tokenizer.eos_token
    batch = tokenizer(PROMPTS, max_length=511, padding=True, truncation=True, return_tensors="pt")
    with pytest.raises(TypeError, match="unsupported operand"):
        [ids + [tokenizer.eos_token_id] for ids in batch["input_ids"]]  # noqa: RUF005  # the snippet's own words


@pytest.mark.parametrize("architecture", ["gpt_neox", "gemma"])
def test_sentence_transformers_pools_by_mean(tiny, architecture):
    from sentence_transformers import SentenceTransformer

    stock = SentenceTransformer(str(tiny(architecture)), device="cpu")
    assert stock[1].pooling_mode in ("mean", ["mean"], ("mean",))
    stock.max_seq_length = 512
    assert_only_the_engine_is_right(tiny(architecture), stock.encode(PROMPTS))


def test_last_token_pooling_without_eos_takes_the_last_word(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny("mistral"))
    network = AutoModel.from_pretrained(tiny("mistral"))
    vectors = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt, max_length=512, truncation=True, return_tensors="pt")
        with torch.no_grad():
            vectors.append(network(**ids).last_hidden_state[0, -1].numpy())
    assert_only_the_engine_is_right(tiny("mistral"), np.stack(vectors))


@pytest.mark.parametrize("architecture", ["gemma", "mistral"])
def test_asking_the_tokenizer_for_eos_costs_the_bos(tiny, architecture):
    plain = AutoTokenizer.from_pretrained(tiny(architecture))
    flagged = AutoTokenizer.from_pretrained(tiny(architecture), add_eos_token=True)
    right = [*plain("aspirin")["input_ids"], plain.eos_token_id]
    if flagged("aspirin")["input_ids"] == right:
        pytest.fail("transformers keeps BOS now: take this fault out of docs/correctness.md")
    assert PromptTokenizer(plain, 512)(["aspirin"]) == [right]


def test_saving_and_loading_a_neox_tokenizer_loses_its_eos(tiny, tmp_path):
    before = AutoTokenizer.from_pretrained(tiny("gpt_neox"), add_eos_token=True)
    assert before("aspirin")["input_ids"][-1] == before.eos_token_id
    before.save_pretrained(tmp_path)
    after = AutoTokenizer.from_pretrained(tmp_path)
    assert after("aspirin")["input_ids"][-1] != after.eos_token_id


def test_eos_as_text_is_cut_off_long_texts(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny("gpt_neox"))
    as_text = [prompt + tokenizer.eos_token for prompt in PROMPTS]
    ids = tokenizer(as_text, max_length=512, truncation=True)["input_ids"]
    assert [row[-1] == tokenizer.eos_token_id for row in ids] == [True, True, False]
    ours = PromptTokenizer(tokenizer, 512)(PROMPTS)
    assert all(row[-1] == tokenizer.eos_token_id for row in ours)
