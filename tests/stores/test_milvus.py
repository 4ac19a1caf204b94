"""Milvus Lite, by its own client and by LlamaIndex's store."""

from __future__ import annotations

import numpy as np
import pytest

from bmretriever_integrations.stores import check_store, store_settings

pytest.importorskip("milvus_lite")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """One database for all tests: its start takes half a second."""
    return str(tmp_path_factory.mktemp("milvus") / "m.db")


@pytest.fixture(scope="module")
def client(address):
    from pymilvus import MilvusClient

    client = MilvusClient(address)
    yield client
    client.close()


def llama_store(address, name, **settings):
    from llama_index.vector_stores.milvus import MilvusVectorStore

    return MilvusVectorStore(address, collection_name=name, use_async_client=False, **settings)


def test_the_settings_rank_by_dot_product(client):
    client.create_collection("right", **store_settings("milvus", 24))
    check_store(client, 24, collection="right")
    rng = np.random.default_rng(0)
    vectors, query = rng.normal(size=(40, 24)) * rng.uniform(0.5, 2, size=(40, 1)), rng.normal(size=24)
    client.insert("right", [{"id": row, "vector": vector.tolist()} for row, vector in enumerate(vectors)])
    hits = client.search("right", [query.tolist()], limit=10)[0]
    assert [hit["id"] for hit in hits] == np.argsort(-(vectors @ query))[:10].tolist()


def test_the_default_is_refused(client):
    client.create_collection("default", 24)
    with pytest.raises(
        ValueError, match=r'milvus compares by COSINE(?s:.*)create_collection.*store_settings\("milvus"'
    ):
        check_store(client, 24, collection="default")
    check_store(client, 24, normalize=True, collection="default")


def test_another_width_is_refused(client):
    client.create_collection("narrow", **store_settings("milvus", 16))
    with pytest.raises(ValueError, match="16 dimensions, the encoder makes 24"):
        check_store(client, 24, collection="narrow")


def test_collection_and_vector_must_be_there(client):
    with pytest.raises(ValueError, match="name one"):
        check_store(client, 24)
    with pytest.raises(ValueError, match="no collection 'absent'"):
        check_store(client, 24, collection="absent")
    client.create_collection("one", **store_settings("milvus", 24))
    with pytest.raises(ValueError, match=r"holds the vectors vector; name one of them.*got 'other'"):
        check_store(client, 24, collection="one", vector_name="other")
    check_store(client, 24, collection="one", vector_name="vector")


def test_llama_index_is_judged_by_a_collection_that_exists(client, address):
    right = llama_store(address, "llama", **store_settings("llama-index-milvus", 24))
    check_store(right, 24)
    with pytest.raises(ValueError, match="24 dimensions, the encoder makes 64"):
        check_store(right, 64)
    llama_store(address, "cosine", dim=24, similarity_metric="cosine")
    told = llama_store(address, "cosine", **store_settings("llama-index-milvus", 24))
    with pytest.raises(ValueError, match=r"llama-index-milvus compares by COSINE(?s:.*)MilvusVectorStore\("):
        check_store(told, 24)
