"""The written folder gives the reference's vectors in this engine and in stock sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.export import write_sentence_transformer
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, passage_prompt, query_prompt
from bmretriever_integrations.testing import Architecture, reference_encode

ARCHITECTURES: tuple[Architecture, ...] = ("gpt_neox", "gemma", "mistral", "llama")
TEXTS = ["", "aspirin lowers fever", "text <s> with <|endoftext|> and <eos> inside", "heart " * 700]


def error(found: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    return float((np.linalg.norm(found - right, axis=1) / np.linalg.norm(right, axis=1)).max())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_vectors(architecture: Architecture, tiny: Callable[[Architecture], Path], tmp_path: Path) -> None:
    models = pytest.importorskip("sentence_transformers")
    raw = tiny(architecture)
    tokenizer = AutoTokenizer.from_pretrained(raw)
    folder = write_sentence_transformer(AutoModel.from_pretrained(raw), tokenizer, tmp_path / "written")
    queries = reference_encode(raw, [query_prompt(DEFAULT_INSTRUCTION, text) for text in TEXTS])
    passages = reference_encode(raw, [passage_prompt(text) for text in TEXTS])
    ours = BMRetrieverEncoder(folder, device="cpu", dtype="float32")
    assert error(ours.encode_queries(TEXTS), queries) <= 1e-5
    assert error(ours.encode_passages(TEXTS), passages) <= 1e-5
    stock = models.SentenceTransformer(str(folder), device="cpu")
    stock.save(str(tmp_path / "again"))
    for model in (stock, models.SentenceTransformer(str(tmp_path / "again"), device="cpu")):
        assert model.similarity_fn_name == "dot"
        assert error(model.encode_query(TEXTS), queries) <= 1e-5
        assert error(model.encode_document(TEXTS), passages) <= 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_ids(architecture: Architecture, tiny: Callable[[Architecture], Path], tmp_path: Path) -> None:
    raw = tiny(architecture)
    tokenizer = AutoTokenizer.from_pretrained(raw)
    folder = write_sentence_transformer(AutoModel.from_pretrained(raw), tokenizer, tmp_path / "written")
    texts = [*TEXTS, " ", "  leading", "\n\t", "é 漢字 🙂"]
    found = AutoTokenizer.from_pretrained(folder)(texts, truncation=True)["input_ids"]
    assert found == PromptTokenizer(tokenizer, 512)(texts)


def test_a_folder_in_use_is_left_alone(tiny: Callable[[Architecture], Path], tmp_path: Path) -> None:
    raw = tiny("llama")
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(FileExistsError):
        write_sentence_transformer(AutoModel.from_pretrained(raw), AutoTokenizer.from_pretrained(raw), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
