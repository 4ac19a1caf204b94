"""LangChain's own suites for integrations, whole, with real vectors and a real index."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("langchain_tests")  # not among the oldest versions
pytest.importorskip("lancedb")

from langchain_tests.integration_tests import EmbeddingsIntegrationTests, RetrieversIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from bmretriever_integrations.index import build_index
from bmretriever_integrations.langchain import BMRetrieverEmbeddings, BMRetrieverIndexRetriever


@pytest.fixture(scope="module", autouse=True)
def settings(tiny, encoder, tmp_path_factory):
    """What the suites ask their classes for, and an engine that stays loaded between their tests."""
    folder = tmp_path_factory.mktemp("langchain")
    lines = [json.dumps({"_id": f"{i}", "title": "Aspirin", "text": f"A trial of dose {i}."}) for i in range(9)]
    (folder / "papers.jsonl").write_text("\n".join(lines), encoding="utf-8")
    build_index(encoder, [folder / "papers.jsonl"], folder / "index")
    model = {"model": str(tiny("llama"))}
    TestUnit.embedding_model_params = TestIntegration.embedding_model_params = model
    TestRetriever.retriever_constructor_params = {"index": folder / "index"}
    kept = BMRetrieverEmbeddings(**model), BMRetrieverIndexRetriever(index=folder / "index")
    kept[0].embed_query("load")
    yield
    for one in kept:
        one.close()


class TestUnit(EmbeddingsUnitTests):
    embeddings_class = BMRetrieverEmbeddings


class TestIntegration(EmbeddingsIntegrationTests):
    embeddings_class = BMRetrieverEmbeddings


class TestRetriever(RetrieversIntegrationTests):
    retriever_constructor = BMRetrieverIndexRetriever
    retriever_query_example = "which dose of aspirin was tried"
