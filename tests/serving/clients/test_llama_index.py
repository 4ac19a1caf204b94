"""LlamaIndex's embedding model for servers that speak as OpenAI does."""

from __future__ import annotations

import httpx
import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.embeddings.openai_like import OpenAILikeEmbedding


@pytest.fixture
def http_client():
    with httpx.Client() as client:  # LlamaIndex closes none
        yield client


def test_llama_index(base_url, right, http_client):
    passages, queries = (
        OpenAILikeEmbedding(model_name=name, api_base=base_url, http_client=http_client)
        for name in ("mini", "mini-query")
    )
    right.assert_found(queries.get_query_embedding(right.question), passages.get_text_embedding_batch(right.passages))

    index = VectorStoreIndex([TextNode(text=text) for text in right.passages], embed_model=passages)
    (best,) = index.as_retriever(embed_model=queries, similarity_top_k=1).retrieve(right.question)
    assert "metformin" in best.text
