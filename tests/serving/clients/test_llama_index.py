"""LlamaIndex's embedding model for servers that speak as OpenAI does."""

from __future__ import annotations

from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.embeddings.openai_like import OpenAILikeEmbedding


def test_llama_index(base_url, right):
    passages = OpenAILikeEmbedding(model_name="mini", api_base=base_url)
    queries = OpenAILikeEmbedding(model_name="mini-query", api_base=base_url)
    right.assert_found(queries.get_query_embedding(right.question), passages.get_text_embedding_batch(right.passages))

    index = VectorStoreIndex([TextNode(text=text) for text in right.passages], embed_model=passages)
    (best,) = index.as_retriever(embed_model=queries, similarity_top_k=1).retrieve(right.question)
    assert "metformin" in best.text
