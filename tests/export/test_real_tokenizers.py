"""Exported folders with the real Pythia, Mistral and Gemma tokenizers: their own ids are the authors' ids."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.export import export_checkpoint
from bmretriever_integrations.prompts import passage_prompt, query_prompt
from bmretriever_integrations.testing import reference_encode

pytestmark = pytest.mark.network

TEXTS = [
    "",
    "   ",
    "\n\t\n",
    "  leading spaces",
    "\n\nleading lines",
    "trailing  \n",
    "</s> <|endoftext|> <eos> <bos> <s> <unk> <pad> inside",
    "<|endoftext|>",
    "</s>",
    "<eos>",
    "α-synuclein 🧬 حمى 漢字\u200b\ufeff",
    "word" * 900,
    "tumour necrosis factor " * 400,
]


def test_ids_and_vectors(real, tmp_path, error):
    models = pytest.importorskip("sentence_transformers")
    raw = real.folder
    folder = tmp_path / "exported"
    export_checkpoint(raw, folder)
    prompts = [*TEXTS, *(query_prompt("Given a claim, find proof", t) for t in TEXTS), *map(passage_prompt, TEXTS)]
    right = PromptTokenizer(AutoTokenizer.from_pretrained(raw), 512)(prompts)
    assert {row[-1] for row in right} == {real.eos}
    assert max(map(len, right)) == 512
    stock = models.SentenceTransformer(str(folder), device="cpu")
    assert (
        stock.tokenizer(prompts, truncation=True)["input_ids"] == right
    )  # AutoTokenizer's, as sentence-transformers loads it
    assert error(stock.encode(prompts), reference_encode(raw, prompts)) <= 1e-5
