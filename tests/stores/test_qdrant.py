"""Qdrant in its local mode; Haystack's and LlamaIndex's Qdrant stores by the attributes that they show."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams

from bmretriever_integrations.stores import check_store, store_settings


@pytest.fixture
def client():
    return QdrantClient(":memory:")


def lookalike(module, name, **attributes):
    """A stand-in for a class whose package is not installed: recognised by module and name, as the real one is."""
    return type(name, (SimpleNamespace,), {"__module__": module})(**attributes)


def llama_store(client, name, config=None):
    return lookalike(
        "llama_index.vector_stores.qdrant.base",
        "QdrantVectorStore",
        client=client,
        collection_name=name,
        dense_vector_name="text-dense",
        _dense_config=config,
    )


def test_the_settings_rank_by_dot_product(client):
    client.create_collection("documents", vectors_config=VectorParams(**store_settings("qdrant", 24)))
    check_store(client, 24, collection="documents")
    rng = np.random.default_rng(0)
    vectors, query = rng.normal(size=(40, 24)) * rng.uniform(0.5, 2, size=(40, 1)), rng.normal(size=24)
    client.upsert("documents", [PointStruct(id=row, vector=vector.tolist()) for row, vector in enumerate(vectors)])
    hits = client.query_points("documents", query=query.tolist(), limit=10).points
    assert [hit.id for hit in hits] == np.argsort(-(vectors @ query))[:10].tolist()


@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID, Distance.MANHATTAN])
def test_another_metric_is_refused(client, distance):
    client.create_collection("documents", vectors_config=VectorParams(size=24, distance=distance))
    with pytest.raises(ValueError, match=rf"compares by {distance.value}(?s:.*)VectorParams\(\*\*settings\)"):
        check_store(client, 24, collection="documents")
    assert client.count("documents").count == 0
    if distance != Distance.MANHATTAN:
        check_store(client, 24, normalize=True, collection="documents")


def test_another_width_is_refused(client):
    client.create_collection("documents", vectors_config=VectorParams(size=768, distance=Distance.DOT))
    with pytest.raises(ValueError, match="768 dimensions, the encoder makes 24"):
        check_store(client, 24, collection="documents")


def test_the_collection_must_be_named_and_there(client):
    with pytest.raises(ValueError, match="name one"):
        check_store(client, 24)
    with pytest.raises(ValueError, match="no collection 'absent'"):
        check_store(client, 24, collection="absent")


def test_of_several_vectors_one_is_named(client):
    dot, cosine = (VectorParams(size=24, distance=distance) for distance in (Distance.DOT, Distance.COSINE))
    client.create_collection("documents", vectors_config={"bmretriever": dot, "other": cosine})
    check_store(client, 24, collection="documents", vector_name="bmretriever")
    with pytest.raises(ValueError, match="compares by Cosine"):
        check_store(client, 24, collection="documents", vector_name="other")
    with pytest.raises(ValueError, match="holds the vectors bmretriever, other; name one"):
        check_store(client, 24, collection="documents")


def test_llama_index_makes_cosine_collections_unless_told(client):
    with pytest.raises(ValueError, match=r"compares by cosine(?s:.*)dense_config=VectorParams"):
        check_store(llama_store(client, "new"), 24)
    told = llama_store(client, "new", VectorParams(**store_settings("llama-index-qdrant", 24)))
    check_store(told, 24)
    with pytest.raises(ValueError, match="24 dimensions, the encoder makes 64"):
        check_store(told, 64)


def test_llama_index_is_judged_by_a_collection_that_exists(client):
    dot, cosine = (VectorParams(size=24, distance=distance) for distance in (Distance.DOT, Distance.COSINE))
    client.create_collection("right", vectors_config={"text-dense": dot, "other": cosine})
    client.create_collection("wrong", vectors_config=cosine)
    check_store(llama_store(client, "right"), 24)
    with pytest.raises(ValueError, match="llama-index-qdrant compares by Cosine"):
        check_store(llama_store(client, "wrong", dot), 24)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"embedding_dim": 24, "similarity": "dot_product"}, None),
        ({"embedding_dim": 768, "similarity": "dot_product"}, "768 dimensions"),
        ({"embedding_dim": 24, "similarity": "cosine"}, "compares by cosine"),
        ({"embedding_dim": 24, "similarity": "l2"}, "compares by l2"),
    ],
)
def test_haystack_is_judged_by_its_settings(attributes, message):
    store = lookalike(
        "haystack_integrations.document_stores.qdrant.document_store", "QdrantDocumentStore", **attributes
    )
    if message is None:
        check_store(store, 24)
        return
    with pytest.raises(ValueError, match=message + r"(?s:.*)QdrantDocumentStore\(\*\*settings\)"):
        check_store(store, 24)
