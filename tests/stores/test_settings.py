"""Settings per store: the real constructors take them, and they rank by dot product."""

from __future__ import annotations

import chromadb
import faiss
import pytest
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack_integrations.document_stores.chroma import ChromaDocumentStore
from llama_index.core import VectorStoreIndex
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.vector_stores.chroma import ChromaVectorStore
from llama_index.vector_stores.faiss import FaissVectorStore
from qdrant_client import QdrantClient
from qdrant_client.models import VectorParams

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.haystack import BMRetrieverDocumentEmbedder, BMRetrieverTextEmbedder
from bmretriever_integrations.llama_index import BMRetrieverEmbedding
from bmretriever_integrations.stores import STORES, check_store, store_settings


def make_qdrant(width, unit):
    client = QdrantClient(":memory:")
    settings = store_settings("qdrant", width, unit)
    client.create_collection("documents", vectors_config=VectorParams(**settings))
    return client, {"collection": "documents"}


def make_chroma(name, path, width, unit):
    return chromadb.PersistentClient(str(path)).create_collection("documents", **store_settings(name, width, unit))


MAKERS = {
    "faiss": lambda path, width, unit: (faiss.index_factory(*store_settings("faiss", width, unit).values()), {}),
    "chroma": lambda path, width, unit: (make_chroma("chroma", path, width, unit), {}),
    "qdrant": lambda path, width, unit: make_qdrant(width, unit),
    "haystack-memory": lambda path, width, unit: (
        InMemoryDocumentStore(**store_settings("haystack-memory", width, unit)),
        {},
    ),
    "haystack-chroma": lambda path, width, unit: (
        ChromaDocumentStore(persist_path=str(path), **store_settings("haystack-chroma", width, unit)),
        {},
    ),
    "llama-index-memory": lambda path, width, unit: (
        SimpleVectorStore(**store_settings("llama-index-memory", width, unit)),
        {},
    ),
    "llama-index-faiss": lambda path, width, unit: (
        FaissVectorStore(faiss_index=faiss.index_factory(*store_settings("llama-index-faiss", width, unit).values())),
        {},
    ),
    "llama-index-chroma": lambda path, width, unit: (
        ChromaVectorStore(chroma_collection=make_chroma("llama-index-chroma", path, width, unit)),
        {},
    ),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("unit", [False, True])
def test_what_the_settings_make_passes_the_check(tmp_path, name, unit):
    if STORES[name].needs_unit_vectors and not unit:
        with pytest.raises(ValueError, match="normalize=True"):
            MAKERS[name](tmp_path, 24, unit)
        return
    store, where = MAKERS[name](tmp_path, 24, unit)
    check_store(store, 24, unit, **where)


@pytest.mark.parametrize("name", STORES)
def test_every_store_has_settings_for_unit_vectors_and_says_where_it_was_read(name):
    settings = store_settings(name, 576, normalize=True)
    if STORES[name].width_key:
        assert settings[STORES[name].width_key] == 576
    assert STORES[name].source.split()[-1][0].isdigit()
    for value in settings.values():  # a caller may change them
        if isinstance(value, dict):
            value.clear()
    assert store_settings(name, 576, normalize=True) == {**settings, **store_settings(name, 576, normalize=True)}
    assert not any(value == {} for value in store_settings(name, 576, normalize=True).values())


@pytest.mark.parametrize(("width", "kind"), [(1024, "vector"), (2000, "vector"), (2048, "halfvec"), (4000, "halfvec")])
def test_pgvector_goes_to_half_precision_above_2000(width, kind):
    assert store_settings("haystack-pgvector", width) == {
        "embedding_dimension": width,
        "vector_function": "inner_product",
        "vector_type": kind,
    }
    assert store_settings("llama-index-pgvector", width, normalize=True) == {
        "embed_dim": width,
        "use_halfvec": kind == "halfvec",
    }


@pytest.mark.parametrize("name", ["haystack-pgvector", "llama-index-pgvector"])
def test_pgvector_refuses_the_7b_and_shows_the_way_out(name):
    with pytest.raises(ValueError, match=r"4,000 dimensions at most, got 4,096.*truncate_dim=4000"):
        store_settings(name, 4096, normalize=True)


def test_an_encoder_says_for_itself_how_wide_and_how_long_its_vectors_are(tiny):
    embedding = BMRetrieverEmbedding(model_name=str(tiny("llama")), truncate_dim=48, normalize=True)
    assert store_settings("haystack-qdrant", embedding) == {"embedding_dim": 48, "similarity": "dot_product"}
    assert store_settings("llama-index-memory", embedding) == {}
    with BMRetrieverEncoder(tiny("llama")) as encoder:
        assert store_settings("faiss", encoder)["d"] == 64
        with pytest.raises(ValueError, match=r"cosine only.*normalize=True"):
            store_settings("llama-index-memory", encoder)
    embedding.close()


@pytest.mark.parametrize("kind", [BMRetrieverTextEmbedder, BMRetrieverDocumentEmbedder])
def test_a_haystack_component_says_so_too(tiny, kind):
    plain = kind(model=str(tiny("llama")), truncate_dim=48)
    assert store_settings("haystack-qdrant", plain) == {"embedding_dim": 48, "similarity": "dot_product"}
    check_store(InMemoryDocumentStore(), plain)
    with pytest.raises(ValueError, match="cosine"):
        check_store(InMemoryDocumentStore(embedding_similarity_function="cosine"), plain)
    unit = kind(model=str(tiny("llama")), normalize_embeddings=True)
    check_store(InMemoryDocumentStore(embedding_similarity_function="cosine"), unit)
    signs = kind(model=str(tiny("llama")), truncate_dim=12, normalize_embeddings=True, precision="binary")
    assert (signs.width, signs.normalize) == (2, False)  # twelve signs in two bytes
    for embedder in (plain, unit, signs):
        embedder.close()


def test_an_index_of_llama_index_is_checked_by_its_store(tiny):
    embedding = BMRetrieverEmbedding(model_name=str(tiny("llama")))
    index = VectorStoreIndex([], embed_model=embedding)
    with pytest.raises(ValueError, match=r"llama-index-memory.*cosine only.*normalize=True"):
        check_store(index, embedding)
    embedding.normalize = True
    check_store(index, embedding)
    embedding.close()


def test_the_former_name_of_normalize_works():
    check_store(InMemoryDocumentStore(embedding_similarity_function="cosine"), 24, normalized=True)
    with pytest.raises(ValueError, match="cosine"):
        check_store(InMemoryDocumentStore(embedding_similarity_function="cosine"), 24, normalized=False)


@pytest.mark.parametrize(("name", "width", "kind"), [("redis", 8, ValueError), ("faiss", 0, ValueError)])
def test_unknown_names_and_widths_are_refused(name, width, kind):
    with pytest.raises(kind, match=r"haystack-memory|at least 1"):
        store_settings(name, width)


@pytest.mark.parametrize("width", ["64", None, True, object()])
def test_what_has_no_width_is_refused(width):
    with pytest.raises(TypeError, match="width"):
        store_settings("faiss", width)


def test_an_unknown_store_is_refused_with_the_known_ones():
    with pytest.raises(TypeError, match=r"builtins\.dict; known are faiss: Index, chromadb: Collection"):
        check_store({}, 64)
