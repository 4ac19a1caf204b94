"""The base that is cut out of SmolLM2."""

from __future__ import annotations

import json

import pytest
from transformers import AutoTokenizer

from bmretriever_integrations.training.base_model import _cut_tokenizer, cut_smollm2


def test_fewer_merges_are_a_valid_tokenizer(tiny):
    whole = AutoTokenizer.from_pretrained(tiny("llama"))
    merges = len(json.loads(whole.backend_tokenizer.to_str())["model"]["merges"])
    cut = _cut_tokenizer(whole, merges // 2)
    text = "Metformin lowers blood glucose 🧬"
    ids = cut(text)["input_ids"]
    assert len(cut) == len(whole) - merges + merges // 2
    assert ids[-1] == cut.eos_token_id
    assert max(ids) < len(cut)
    assert cut.decode(ids[:-1]) == text
    with pytest.raises(ValueError, match=f"merges must be 1..{merges}"):
        _cut_tokenizer(whole, merges + 1)


def test_another_file_is_not_taken_for_smollm2(tmp_path):
    (tmp_path / "SmolLM2.gguf").write_bytes(b"GGUF")
    with pytest.raises(ValueError, match="is not the file expected"):
        cut_smollm2(tmp_path / "SmolLM2.gguf", 2, 100)
    with pytest.raises(ValueError, match=r"layers must be 1\.\.30"):
        cut_smollm2(tmp_path / "SmolLM2.gguf", 31, 100)
