"""Tests in Haystack's manner put their own backend in place; these do so too."""

from __future__ import annotations

from unittest.mock import MagicMock, patch

import numpy as np
import pytest
from haystack import Document
from haystack.utils import ComponentDevice

from bmretriever_integrations.encoder.sharing import engines_open
from bmretriever_integrations.haystack import BMRetrieverDocumentEmbedder, BMRetrieverTextEmbedder
from bmretriever_integrations.prompts import TASK_INSTRUCTIONS

MODULE = "haystack_integrations.components.embedders.bmretriever"
USUAL = {
    "batch_size": 32,
    "show_progress_bar": True,
    "normalize_embeddings": False,
    "precision": "float32",
    "quantization_ranges": None,
}


@pytest.mark.parametrize("answer", [[[1.0, 2.0]], np.asarray([[1.0, 2.0]], np.float32)])
def test_a_backend_that_is_set_is_used_as_it_is(answer):
    before = engines_open()
    text_embedder, document_embedder = BMRetrieverTextEmbedder(), BMRetrieverDocumentEmbedder(prefix="p ", suffix=" s")
    for embedder in (text_embedder, document_embedder):
        embedder.embedding_backend = MagicMock()
        embedder.embedding_backend.embed.return_value = answer
    assert text_embedder.run("query") == {"embedding": [1.0, 2.0]}
    assert document_embedder.run([Document(content="text")])["documents"][0].embedding == [1.0, 2.0]
    text_embedder.embedding_backend.embed.assert_called_once_with(["query"], **USUAL)
    document_embedder.embedding_backend.embed.assert_called_once_with(["p text s"], **USUAL)
    assert engines_open() == before
    text_embedder.close()
    document_embedder.close()
    assert text_embedder.embedding_backend is None


def test_the_instruction_of_a_run_is_handed_on():
    embedder = BMRetrieverTextEmbedder(batch_size=4, progress_bar=False, normalize_embeddings=True, precision="binary")
    embedder.embedding_backend = MagicMock()
    embedder.run("query", instruction="scifact")
    embedder.embedding_backend.embed.assert_called_once_with(
        ["query"],
        batch_size=4,
        show_progress_bar=False,
        normalize_embeddings=True,
        precision="binary",
        quantization_ranges=None,
        instruction=TASK_INSTRUCTIONS["scifact"],
    )


def test_a_backend_that_loses_a_row_is_an_error():
    embedder = BMRetrieverDocumentEmbedder()
    embedder.embedding_backend = MagicMock()
    embedder.embedding_backend.embed.return_value = [[1.0]]
    with pytest.raises(ValueError, match="shorter"):
        embedder.run([Document(content="a"), Document(content="b")])


@pytest.mark.parametrize(
    ("module", "kind"),
    [("text_embedder", BMRetrieverTextEmbedder), ("document_embedder", BMRetrieverDocumentEmbedder)],
)
def test_warm_up_asks_the_factory_once_and_nothing_is_loaded_before(module, kind, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "from-the-environment")
    with patch(f"{MODULE}.{module}._BMRetrieverEmbeddingBackendFactory") as factory:
        embedder = kind(
            model="owner/model",
            device=ComponentDevice.from_str("cpu"),
            revision="v1",
            local_files_only=True,
            truncate_dim=256,
            model_kwargs={"torch_dtype": "bfloat16"},
            tokenizer_kwargs={"model_max_length": 128},
            batch_size=3,
        )
        factory.get_embedding_backend.assert_not_called()
        embedder.warm_up()
        embedder.warm_up()
        factory.get_embedding_backend.assert_called_once()
    settings = factory.get_embedding_backend.call_args.args[0]
    assert (settings.model, settings.device, settings.revision, settings.dtype) == (
        "owner/model",
        "cpu",
        "v1",
        "bfloat16",
    )
    assert (settings.max_length, settings.truncate_dim, settings.local_files_only) == (128, 256, True)
    assert settings.token == "from-the-environment"
    assert "from-the-environment" not in repr(settings)


@pytest.mark.parametrize("wrong", [[Document(content="a")], 3, None, ["a"]])
def test_a_text_embedder_takes_one_string(wrong):
    with pytest.raises(TypeError, match="BMRetrieverTextEmbedder expects a string as input"):
        BMRetrieverTextEmbedder(model="owner/absent").run(wrong)  # before warm-up: else FileNotFoundError


@pytest.mark.parametrize("wrong", ["a", ["a"], [Document(content="a"), "b"], Document(content="a"), None])
def test_a_document_embedder_takes_a_list_of_documents(wrong):
    with pytest.raises(TypeError, match="BMRetrieverDocumentEmbedder expects a list of Documents as input"):
        BMRetrieverDocumentEmbedder(model="owner/absent").run(wrong)


async def test_wrong_input_is_refused_before_warm_up_in_async_runs_too():
    with pytest.raises(TypeError, match="expects a string as input"):
        await BMRetrieverTextEmbedder(model="owner/absent").run_async(3)
    with pytest.raises(TypeError, match="expects a list of Documents"):
        await BMRetrieverDocumentEmbedder(model="owner/absent").run_async("a")
    with pytest.raises(ValueError, match="Did you mean 'scifact'"):
        await BMRetrieverTextEmbedder(model="owner/absent").run_async("a", instruction="scifcat")


async def test_no_documents_need_no_model():
    embedder = BMRetrieverDocumentEmbedder(model="owner/absent", local_files_only=True)
    assert embedder.run([]) == {"documents": []}
    assert await embedder.run_async([]) == {"documents": []}
    assert embedder.embedding_backend is None
