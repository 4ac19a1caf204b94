"""Stock classes of each framework: right on the exported folder, wrong (or failing) on the raw checkpoint."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, PASSAGE_PREFIX, passage_prompt, query_prompt
from bmretriever_integrations.testing import ARCHITECTURES, reference_encode

pytestmark = pytest.mark.parametrize("architecture", ARCHITECTURES)
QUERIES = ["does aspirin prevent stroke", " two  spaces\n", "a <s> with <|endoftext|> and <eos> inside", "heart " * 700]
PASSAGES = ["Aspirin lowers fever.", "BRCA1 raises the risk of breast cancer.", ("statins " * 700).strip()]
TITLES = ["Aspirin", "BRCA1", "Statins"]
QUERY_PREFIX = query_prompt(DEFAULT_INSTRUCTION, "")


@pytest.fixture
def assert_only_the_export_is_right(exported, tiny, architecture, error):
    """A function: how a tool embeds QUERIES and PASSAGES from a folder -> asserts that only the exported one is right."""

    def compare(embed, titles=("", "", "")):
        prompts = [query_prompt(DEFAULT_INSTRUCTION, text) for text in QUERIES]
        prompts += [passage_prompt(text, title) for text, title in zip(PASSAGES, titles, strict=True)]
        right = reference_encode(tiny(architecture), prompts)
        assert error(np.concatenate(embed(str(exported(architecture)))), right) <= 1e-5
        try:
            wrong = np.concatenate(embed(str(tiny(architecture))))
        except (ValueError, RuntimeError):  # e.g. no pad token
            return
        assert all(error(row[None], other[None]) > 0.05 for row, other in zip(wrong, right, strict=True))

    return compare


def test_sentence_transformers(assert_only_the_export_is_right):
    from sentence_transformers import SentenceTransformer

    def embed(folder):
        model = SentenceTransformer(folder, device="cpu")
        return model.encode(QUERIES, prompt=QUERY_PREFIX), model.encode(PASSAGES, prompt=PASSAGE_PREFIX)

    assert_only_the_export_is_right(embed)


def test_haystack_s_own_embedders(assert_only_the_export_is_right):
    stock = pytest.importorskip("haystack_integrations.components.embedders.sentence_transformers")
    from haystack import Document
    from haystack.utils import ComponentDevice

    documents = [Document(content=text, meta={"title": title}) for text, title in zip(PASSAGES, TITLES, strict=True)]

    def embed(folder):
        common = {"model": folder, "progress_bar": False, "device": ComponentDevice.from_str("cpu")}
        of_text = stock.SentenceTransformersTextEmbedder(**common, prefix=QUERY_PREFIX)
        of_documents = stock.SentenceTransformersDocumentEmbedder(
            **common, prefix=PASSAGE_PREFIX, meta_fields_to_embed=["title"], embedding_separator=" "
        )
        queries = [of_text.run(text)["embedding"] for text in QUERIES]
        return queries, [document.embedding for document in of_documents.run(documents)["documents"]]

    assert_only_the_export_is_right(embed, TITLES)


def test_haystack_takes_the_folder_s_prompts_by_name(exported, tiny, architecture, error):
    stock = pytest.importorskip("haystack_integrations.components.embedders.sentence_transformers")
    from haystack.utils import ComponentDevice

    embedder = stock.SentenceTransformersTextEmbedder(
        model=str(exported(architecture)),
        encode_kwargs={"prompt_name": "scifact"},
        progress_bar=False,
        device=ComponentDevice.from_str("cpu"),
    )
    claim = query_prompt("Given a scientific claim, retrieve documents that support or refute the claim", QUERIES[0])
    assert error([embedder.run(QUERIES[0])["embedding"]], reference_encode(tiny(architecture), [claim])) <= 1e-5


@pytest.mark.parametrize("waits", [False, True], ids=["sync", "async"])
def test_llama_index_s_own_embedding(assert_only_the_export_is_right, monkeypatch, waits):
    stock = pytest.importorskip("llama_index.embeddings.huggingface").HuggingFaceEmbedding
    monkeypatch.setattr(stock._embed_with_retry.retry, "sleep", lambda seconds: None)

    def embed(folder):
        model = stock(
            folder, query_instruction=QUERY_PREFIX, text_instruction=PASSAGE_PREFIX, normalize=False, device="cpu"
        )
        queries = [model.get_query_embedding(text) for text in QUERIES]
        if waits:
            return queries, asyncio.run(model.aget_text_embedding_batch(PASSAGES))
        return queries, model.get_text_embedding_batch(PASSAGES)

    assert_only_the_export_is_right(embed)


@pytest.mark.filterwarnings("ignore:.*(not valid|expected format).*:UserWarning")  # it knows its own tasks' names only
def test_mteb_s_own_wrapper(assert_only_the_export_is_right, exported, architecture):
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper
    from mteb.types import PromptType
    from torch.utils.data import DataLoader

    options = {"task_metadata": mteb.get_task("NFCorpus").metadata, "hf_split": "test", "hf_subset": "default"}

    def embed(folder):
        model = SentenceTransformerEncoderWrapper(folder, device="cpu")
        loaders = [DataLoader(Dataset.from_dict({"text": texts}), batch_size=2) for texts in (QUERIES, PASSAGES)]
        queries = model.encode(loaders[0], prompt_type=PromptType.query, show_progress_bar=False, **options)
        passages = model.encode(loaders[1], prompt_type=PromptType.document, show_progress_bar=False, **options)
        assert model.model.similarity_fn_name == ("dot" if exported(architecture) == Path(folder) else "cosine")
        return queries, passages

    assert_only_the_export_is_right(embed)
