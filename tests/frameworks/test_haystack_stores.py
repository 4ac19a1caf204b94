"""Whole pipelines: index, ask, find, with the in-memory store and with Chroma."""

from __future__ import annotations

import numpy as np
import pytest
from haystack import Document, Pipeline
from haystack.components.retrievers import InMemoryEmbeddingRetriever
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore

from bmretriever_integrations.haystack import BMRetrieverDocumentEmbedder, BMRetrieverTextEmbedder

CONTENTS = [
    "Metformin lowers blood glucose in type 2 diabetes.",
    "Aspirin reduces the risk of a second stroke.",
    "Sickle cell anaemia is caused by a mutation of the beta-globin gene.",
    "BRCA1 mutations raise the risk of breast cancer.",
    "ACE inhibitors lower mortality in heart failure.",
    "",
]
DOCUMENTS = [Document(id=str(n), content=text, meta={"title": f"Title {n}"}) for n, text in enumerate(CONTENTS)]


@pytest.fixture
def components(tiny):
    arguments = {"model": str(tiny("gemma")), "progress_bar": False, "model_kwargs": {"dtype": "float32"}}
    made = (
        BMRetrieverTextEmbedder(**arguments),
        BMRetrieverDocumentEmbedder(meta_fields_to_embed=["title"], **arguments),
    )
    yield made
    for embedder in made:
        embedder.close()


def index(store, embedder):
    pipeline = Pipeline()
    pipeline.add_component("embedder", embedder)
    pipeline.add_component("writer", DocumentWriter(store))
    pipeline.connect("embedder", "writer")
    assert pipeline.run({"embedder": {"documents": DOCUMENTS}})["writer"]["documents_written"] == len(DOCUMENTS)


def asking(retriever, embedder):
    pipeline = Pipeline()
    pipeline.add_component("embedder", embedder)
    pipeline.add_component("retriever", retriever)
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    return pipeline


def exact_ranking(text_embedder, document_embedder, query):
    passages = np.asarray([d.embedding for d in document_embedder.run(DOCUMENTS)["documents"]])
    scores = passages @ np.asarray(text_embedder.run(query)["embedding"])
    return [DOCUMENTS[row].id for row in np.argsort(-scores)], np.sort(scores)[::-1]


async def test_in_memory_store_ranks_by_dot_product(components):
    text_embedder, document_embedder = components
    store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
    index(store, document_embedder)
    pipeline = asking(InMemoryEmbeddingRetriever(store, top_k=6), text_embedder)
    order, scores = exact_ranking(text_embedder, document_embedder, "what lowers glucose?")
    found = pipeline.run({"embedder": {"text": "what lowers glucose?"}})["retriever"]["documents"]
    assert [document.id for document in found] == order
    np.testing.assert_allclose([document.score for document in found], scores, rtol=1e-5)
    again = await pipeline.run_async({"embedder": {"text": "what lowers glucose?"}})
    assert [document.id for document in again["retriever"]["documents"]] == order
    other = pipeline.run({"embedder": {"text": "what lowers glucose?", "instruction": "scifact"}})
    assert other["retriever"]["documents"][0].score != found[0].score
    pipeline.close()


def test_a_document_is_found_by_its_own_vector(components):
    """The tiny models' weights are random: only a text that is its own neighbour is certainly "right"."""
    _, document_embedder = components
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    index(store, document_embedder)
    for document in document_embedder.run(DOCUMENTS)["documents"]:
        assert store.embedding_retrieval(document.embedding, top_k=1)[0].id == document.id


def test_chroma_with_inner_product_ranks_as_the_dot_product(components, tmp_path):
    pytest.importorskip("haystack_integrations.document_stores.chroma")
    from haystack_integrations.components.retrievers.chroma import ChromaEmbeddingRetriever
    from haystack_integrations.document_stores.chroma import ChromaDocumentStore

    text_embedder, document_embedder = components
    settings = {"persist_path": str(tmp_path / "chroma"), "collection_name": "cases", "distance_function": "ip"}
    index(ChromaDocumentStore(**settings), document_embedder)
    store = ChromaDocumentStore(**settings)  # opened anew: what is found was on disk
    pipeline = asking(ChromaEmbeddingRetriever(store, top_k=6), text_embedder)
    found = pipeline.run({"embedder": {"text": "what lowers glucose?"}})["retriever"]["documents"]
    order, scores = exact_ranking(text_embedder, document_embedder, "what lowers glucose?")
    assert [document.id for document in found] == order
    np.testing.assert_allclose([1 - document.score for document in found], scores, rtol=1e-4)  # Chroma's is a distance
