"""Chroma on disk, bare and in both frameworks: the default metric is refused, and nothing is written after a refusal."""

from __future__ import annotations

import chromadb
import numpy as np
import pytest
from haystack import Document
from haystack_integrations.components.retrievers.chroma import ChromaEmbeddingRetriever
from haystack_integrations.document_stores.chroma import ChromaDocumentStore
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.vector_stores.chroma import ChromaVectorStore

from bmretriever_integrations.llama_index import BMRetrieverEmbedding
from bmretriever_integrations.stores import check_store, store_settings

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(40, 24)).astype(np.float32) * RNG.uniform(0.5, 2, size=(40, 1)).astype(np.float32)
QUERY = RNG.normal(size=24).astype(np.float32)
BY_DOT = [str(row) for row in np.argsort(-(VECTORS @ QUERY))[:10]]


@pytest.fixture
def client(tmp_path):
    return chromadb.PersistentClient(str(tmp_path / "chroma"))


def test_the_settings_rank_by_dot_product_and_the_default_does_not(client):
    right = client.create_collection("right", **store_settings("chroma", 24))
    wrong = client.create_collection("wrong", embedding_function=None)
    found = {}
    for collection in (right, wrong):
        collection.add(ids=[str(row) for row in range(40)], embeddings=VECTORS)
        found[collection.name] = collection.query(query_embeddings=[QUERY], n_results=10)["ids"][0]
    assert found["right"] == BY_DOT
    assert found["wrong"] != BY_DOT
    check_store(client.get_collection("right"), 24)


@pytest.mark.parametrize(
    "how", [{}, {"configuration": {"hnsw": {"space": "cosine"}}}, {"metadata": {"hnsw:space": "l2"}}]
)
def test_another_metric_is_refused_unless_the_vectors_are_of_length_1(client, how):
    collection = client.create_collection("documents", embedding_function=None, **how)
    with pytest.raises(ValueError, match=r"compares by (l2|cosine)(?s:.*)create_collection\(name, \*\*settings\)"):
        check_store(collection, 24)
    assert collection.count() == 0
    check_store(collection, 24, normalize=True)


def test_the_older_way_to_name_the_metric_is_understood(client):
    collection = client.create_collection("documents", metadata={"hnsw:space": "ip"}, embedding_function=None)
    check_store(collection, 24)
    collection.add(ids=[str(row) for row in range(40)], embeddings=VECTORS)
    assert collection.query(query_embeddings=[QUERY], n_results=10)["ids"][0] == BY_DOT
    with pytest.raises(ValueError, match="24 dimensions, the encoder makes 64"):
        check_store(collection, 64)


def test_another_width_is_refused(client):
    collection = client.create_collection("documents", **store_settings("chroma", 24))
    check_store(collection, 64)  # empty: the first vector decides
    collection.add(ids=["a"], embeddings=VECTORS[:1])
    with pytest.raises(ValueError, match="24 dimensions, the encoder makes 64"):
        check_store(collection, 64)
    assert collection.count() == 1


def test_haystack_is_refused_before_it_makes_the_collection(tmp_path):
    with pytest.raises(ValueError, match=r"compares by l2(?s:.*)ChromaDocumentStore\(\*\*settings\)"):
        check_store(ChromaDocumentStore(persist_path=str(tmp_path)), 24)
    assert chromadb.PersistentClient(str(tmp_path)).list_collections() == []


def test_haystack_is_told_of_an_existing_collection_that_ignores_its_settings(tmp_path):
    chromadb.PersistentClient(str(tmp_path)).create_collection("documents", embedding_function=None)
    with pytest.raises(ValueError, match="compares by l2"):
        check_store(ChromaDocumentStore(persist_path=str(tmp_path), **store_settings("haystack-chroma", 24)), 24)


def test_haystack_ranks_by_dot_product(tmp_path):
    store = ChromaDocumentStore(persist_path=str(tmp_path), **store_settings("haystack-chroma", 24))
    check_store(store, 24)
    store.write_documents(
        [Document(id=str(row), content="text", embedding=vector.tolist()) for row, vector in enumerate(VECTORS)]
    )
    hits = ChromaEmbeddingRetriever(store, top_k=10).run(query_embedding=QUERY.tolist())["documents"]
    assert [hit.id for hit in hits] == BY_DOT
    with pytest.raises(ValueError, match="24 dimensions, the encoder makes 64"):
        check_store(store, 64)


def retrieve(client, vectors, query, space):
    """What LlamaIndex gives for these vectors without any check."""
    from llama_index.core.vector_stores import VectorStoreQuery

    configuration = {"hnsw": {"space": space}}
    store = ChromaVectorStore(
        chroma_collection=client.create_collection(f"by_{space}", configuration=configuration, embedding_function=None)
    )
    store.add([TextNode(id_=str(row), text="text", embedding=vector.tolist()) for row, vector in enumerate(vectors)])
    return store.query(VectorStoreQuery(query_embedding=query.tolist(), similarity_top_k=10))


def test_without_the_check_the_scores_of_llama_index_overflow_or_vanish(client):
    longer = VECTORS * 20  # BMRetriever's vectors are longer still
    with pytest.raises(OverflowError):
        retrieve(client, longer, QUERY * 20, "ip")
    assert retrieve(client, longer, QUERY * 20, "l2").similarities == [0.0] * 10


@pytest.mark.parametrize("space", ["ip", "l2", "cosine"])
def test_llama_index_is_refused_before_anything_is_written(client, space):
    configuration = {"hnsw": {"space": space}}
    collection = client.create_collection("documents", configuration=configuration, embedding_function=None)
    store = ChromaVectorStore(chroma_collection=collection)
    with pytest.raises(ValueError, match=r"exp\(-distance\).*normalize=True"):
        check_store(store, 24)
    assert collection.count() == 0
    check_store(store, 24, normalize=True)


@pytest.mark.parametrize("space", ["ip", "l2", "cosine"])
def test_llama_index_ranks_unit_vectors_rightly_in_every_space_that_passes(client, space):
    unit, query = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True), QUERY / np.linalg.norm(QUERY)
    found = retrieve(client, unit, query, space)
    assert found.ids == [str(row) for row in np.argsort(-(unit @ query))[:10]]
    assert found.similarities == sorted(found.similarities, reverse=True)
    assert 0.01 < min(found.similarities) <= max(found.similarities) <= 1.0


def test_llama_index_end_to_end_with_normalized_vectors(client, tiny):
    embedding = BMRetrieverEmbedding(model_name=str(tiny("gemma")), dtype="float32", normalize=True)
    collection = client.create_collection("documents", **store_settings("llama-index-chroma", embedding))
    store = ChromaVectorStore(chroma_collection=collection)
    check_store(store, embedding)
    texts = [f"{drug} in {disease}" for drug in ("aspirin", "statins", "insulin") for disease in ("stroke", "asthma")]
    index = VectorStoreIndex(
        [TextNode(text=text) for text in texts],
        embed_model=embedding,
        storage_context=StorageContext.from_defaults(vector_store=store),
    )
    hits = index.as_retriever(similarity_top_k=6).retrieve("what prevents a stroke?")
    scores = np.array(embedding.get_text_embedding_batch(texts)) @ np.array(
        embedding.get_query_embedding("what prevents a stroke?")
    )
    assert [hit.text for hit in hits] == [texts[row] for row in np.argsort(-scores)]
    assert np.allclose([hit.score for hit in hits], np.exp(np.sort(scores)[::-1] - 1), rtol=1e-4)
    embedding.close()
