"""Stores whose packages or servers are not here: judged by the attributes that their classes show (read in their wheels).

No server takes part: these tests know the stores' settings, not their behaviour.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bmretriever_integrations.stores import check_store, store_settings

HAYSTACK_PGVECTOR = {"search_strategy": "exact_nearest_neighbor"}


def lookalike(module, name, **attributes):
    """A stand-in for a class that is not installed: recognised by module and name, as the real one is."""
    return type(name, (SimpleNamespace,), {"__module__": module})(**attributes)


def pgvector(**attributes):
    settings = {**store_settings("haystack-pgvector", 2048), **HAYSTACK_PGVECTOR, **attributes}
    return lookalike(
        "haystack_integrations.document_stores.pgvector.document_store", "PgvectorDocumentStore", **settings
    )


@pytest.mark.parametrize("strategy", ["exact_nearest_neighbor", "hnsw"])
def test_haystack_pgvector_passes_with_its_settings_with_and_without_index(strategy):
    check_store(pgvector(search_strategy=strategy), 2048)
    with pytest.raises(ValueError, match="compares by cosine_similarity"):
        check_store(pgvector(search_strategy=strategy, vector_function="cosine_similarity"), 2048)


@pytest.mark.parametrize(
    ("attributes", "width", "message"),
    [
        ({"vector_function": "cosine_similarity"}, 2048, "compares by cosine_similarity"),
        ({"vector_function": "l2_distance"}, 2048, "compares by l2_distance"),
        ({}, 1024, "2048 dimensions, the encoder makes 1024"),
        ({"search_strategy": "hnsw", "vector_type": "vector"}, 2048, "2,000 dimensions at most, got 2,048"),
        ({"search_strategy": "hnsw", "embedding_dimension": 4096}, 4096, "4,000 dimensions at most, got 4,096"),
    ],
)
def test_haystack_pgvector_is_refused_with_the_cure(attributes, width, message):
    with pytest.raises(ValueError, match=message):
        check_store(pgvector(**attributes), width)


def test_haystack_pgvector_takes_any_width_without_an_index():
    store = pgvector(embedding_dimension=4096)
    check_store(store, 4096)
    with pytest.raises(ValueError, match="4096 dimensions, the encoder makes 2048"):
        check_store(store, 2048)


def test_a_class_that_inherits_from_a_known_one_is_known():
    store = pgvector(vector_function="cosine_similarity")
    mine = type("MyStore", (type(store),), {"__module__": "my_project"})(**vars(store))
    with pytest.raises(ValueError, match="cosine_similarity"):
        check_store(mine, 2048)


def test_llama_index_pgvector_compares_by_cosine_always():
    store = lookalike(
        "llama_index.vector_stores.postgres.base", "PGVectorStore", embed_dim=576, use_halfvec=False, hnsw_kwargs=None
    )
    with pytest.raises(ValueError, match=r"cosine distance.*normalize=True"):
        check_store(store, 576)
    check_store(store, 576, normalize=True)
    store.embed_dim, store.hnsw_kwargs = 2048, {"hnsw_m": 16}
    with pytest.raises(ValueError, match="2,000 dimensions at most"):
        check_store(store, 2048, normalize=True)
    store.use_halfvec = True
    check_store(store, 2048, normalize=True)


@pytest.mark.parametrize(("index_string", "message"), [("Flat", None), ("HNSW32", "distances as scores")])
def test_haystack_faiss_is_always_l2(index_string, message):
    store = lookalike(
        "haystack_integrations.document_stores.faiss.document_store",
        "FAISSDocumentStore",
        embedding_dim=24,
        index_string=index_string,
    )
    with pytest.raises(ValueError, match=r"without a metric, which is Euclidean.*normalize=True"):
        check_store(store, 24)
    with pytest.raises(ValueError, match="24 dimensions, the encoder makes 64"):
        check_store(store, 64)
    if message is None:
        check_store(store, 24, normalize=True)
        return
    with pytest.raises(ValueError, match=message):
        check_store(store, 24, normalize=True)


def opensearch(method, width=24):
    """Haystack's store, which shows the mapping that it would give to a new index."""
    embedding = {"type": "knn_vector", "index": True, "dimension": width, **({"method": method} if method else {})}
    shown = {"init_parameters": {"mappings": {"properties": {"embedding": embedding}}}}
    module = "haystack_integrations.document_stores.opensearch.document_store"
    return lookalike(module, "OpenSearchDocumentStore", to_dict=lambda: shown)


def test_opensearch_passes_with_its_settings():
    settings = store_settings("haystack-opensearch", 24)
    assert settings["embedding_dim"] == 24
    check_store(opensearch(settings["method"]), 24)


@pytest.mark.parametrize(
    ("method", "width", "message"),
    [
        (None, 24, "compares by l2"),
        ({"name": "hnsw", "engine": "faiss"}, 24, "compares by l2"),
        ({"name": "hnsw", "space_type": "cosinesimil"}, 24, "compares by cosinesimil"),
        ({"name": "hnsw", "space_type": "innerproduct"}, 64, "64 dimensions, the encoder makes 24"),
    ],
)
def test_opensearch_is_refused_with_the_cure(method, width, message):
    with pytest.raises(ValueError, match=message + r"(?s:.*)OpenSearchDocumentStore\(\*\*settings\)"):
        check_store(opensearch(method, width), 24)
