"""Haystack's embedders for OpenAI."""

from __future__ import annotations

from haystack import Document, Pipeline
from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.utils import Secret

KEY = Secret.from_token("none")


def test_haystack(base_url, right):
    documents = OpenAIDocumentEmbedder(api_base_url=base_url, api_key=KEY, model="mini", progress_bar=False)
    embedded = documents.run([Document(content=text) for text in right.passages])["documents"]
    text_embedder = OpenAITextEmbedder(api_base_url=base_url, api_key=KEY, model="mini-query")
    query = text_embedder.run(right.question)["embedding"]
    right.assert_found(query, [document.embedding for document in embedded])

    store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
    store.write_documents(embedded)
    pipeline = Pipeline()
    pipeline.add_component("embedder", text_embedder)
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=1, scale_score=False))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    (best,) = pipeline.run({"embedder": {"text": right.question}})["retriever"]["documents"]
    assert "metformin" in best.content
    for component in (documents, text_embedder):
        component.close()
