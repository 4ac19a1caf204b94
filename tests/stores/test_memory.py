"""The in-memory stores of both frameworks."""

from __future__ import annotations

import numpy as np
import pytest
from haystack import Document
from haystack.document_stores.in_memory import InMemoryDocumentStore
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import SimpleVectorStore, VectorStoreQuery

from bmretriever_integrations.stores import check_store, store_settings


def test_haystack_passes_with_its_settings_and_is_refused_with_cosine():
    check_store(InMemoryDocumentStore(**store_settings("haystack-memory", 24)), 24)
    cosine = InMemoryDocumentStore(embedding_similarity_function="cosine")
    with pytest.raises(ValueError, match=r"compares by cosine(?s:.*)InMemoryDocumentStore\(\*\*settings\)"):
        check_store(cosine, 24)
    check_store(cosine, 24, normalize=True)
    assert cosine.count_documents() == 0


def test_haystack_with_documents_of_another_width_is_refused():
    store = InMemoryDocumentStore()
    store.write_documents([Document(content="no vector")])
    check_store(store, 24)
    store.write_documents([Document(content="a vector", embedding=[0.5] * 768)])
    with pytest.raises(ValueError, match="768 dimensions, the encoder makes 24"):
        check_store(store, 24)


def test_llama_index_ranks_by_cosine_so_it_takes_unit_vectors_only():
    store = SimpleVectorStore()
    vectors = np.array([[3.0, 3.0], [1.0, 0.0]])  # by dot product the first is nearer to (1, 0), by cosine the second
    store.add([TextNode(id_=str(row), text="text", embedding=list(vector)) for row, vector in enumerate(vectors)])
    assert store.query(VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=1)).ids == ["1"]
    with pytest.raises(ValueError, match=r"cosine only.*normalize=True"):
        check_store(store, 2)
    check_store(store, 2, normalize=True)
    with pytest.raises(ValueError, match="2 dimensions, the encoder makes 24"):
        check_store(store, 24, normalize=True)
