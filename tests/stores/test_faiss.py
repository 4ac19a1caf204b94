"""FAISS: inner product and the right width pass; others are refused while the index is still empty."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.vector_stores.faiss import FaissVectorStore

from bmretriever_integrations.llama_index import BMRetrieverEmbedding
from bmretriever_integrations.stores import check_store, store_settings


@pytest.mark.parametrize("description", ["Flat", "HNSW32", "IVF4,Flat", "IDMap,Flat", "PCA16,Flat", "IDMap2,HNSW16"])
def test_inner_product_of_the_right_width_passes_and_nothing_else(description):
    index = faiss.index_factory(24, description, faiss.METRIC_INNER_PRODUCT)
    check_store(index, 24)
    with pytest.raises(ValueError, match="24 dimensions, the encoder makes 64"):
        check_store(index, 64)
    with pytest.raises(ValueError, match="compares by l2"):
        check_store(faiss.index_factory(24, description, faiss.METRIC_L2), 24)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (faiss.IndexFlatL2(24), "compares by l2"),
        (faiss.index_factory(24, "IVF4,Flat"), "compares by l2"),
        (faiss.index_factory(24, "L2norm,Flat", faiss.METRIC_INNER_PRODUCT), "compares by cosine"),
        (faiss.IndexIDMap(faiss.index_factory(24, "L2norm,Flat", 0)), "compares by cosine"),
        (faiss.index_factory(24, "Flat", faiss.METRIC_L1), "compares by metric_type 2"),
        (faiss.IndexFlatIP(768), "768 dimensions, the encoder makes 24"),
        (faiss.IndexFlatIP(16), "16 dimensions, the encoder makes 24"),
    ],
)
def test_others_are_refused_with_the_cure(index, message):
    with pytest.raises(ValueError, match=message + '(?s:.*)store_settings\\("faiss", encoder\\)'):
        check_store(index, 24)
    assert index.ntotal == 0


def test_a_narrower_store_may_be_met_by_truncation_and_a_wider_one_may_not():
    with pytest.raises(ValueError, match="truncate_dim=16"):
        check_store(faiss.IndexFlatIP(16), 24)
    with pytest.raises(ValueError, match="dimensions") as caught:
        check_store(faiss.IndexFlatIP(32), 24)
    assert "truncate_dim" not in str(caught.value)


def test_unit_vectors_may_go_into_an_l2_index_but_not_into_one_of_another_metric():
    check_store(faiss.IndexFlatL2(24), 24, normalize=True)
    check_store(faiss.index_factory(24, "L2norm,Flat"), 24, normalize=True)
    with pytest.raises(ValueError, match="metric_type 2"):
        check_store(faiss.index_factory(24, "Flat", faiss.METRIC_L1), 24, normalize=True)


def test_llama_index_refuses_l2_even_for_unit_vectors_for_its_scores_fall():
    with pytest.raises(ValueError, match="distances as scores"):
        check_store(FaissVectorStore(faiss_index=faiss.IndexFlatL2(24)), 24, normalize=True)
    with pytest.raises(ValueError, match="compares by l2"):
        check_store(FaissVectorStore(faiss_index=faiss.IndexFlatL2(24)), 24)
    with pytest.raises(ValueError, match="768"):
        check_store(FaissVectorStore(faiss_index=faiss.IndexFlatIP(768)), 24)


def test_llama_index_ranks_by_the_exact_dot_product(tiny):
    embedding = BMRetrieverEmbedding(model_name=str(tiny("gemma")), dtype="float32")
    store = FaissVectorStore(faiss_index=faiss.index_factory(*store_settings("llama-index-faiss", embedding).values()))
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
    assert np.allclose([hit.score for hit in hits], np.sort(scores)[::-1], rtol=1e-5)
    embedding.close()
