"""The demo's two ways to the same records: a Haystack pipeline, and a LlamaIndex index, on vectors that are there already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bmretriever_integrations.index import Hit, SearchIndex


def ask_haystack(index: SearchIndex, questions: Sequence[str], top_k: int) -> list[list[Hit]]:
    """
    Ask through a query pipeline: text embedder, then in-memory retriever by dot product.

    :param index: supplies documents, vectors and the model's name.
    :param questions: one run each.
    :param top_k: hits a question.
    """
    from haystack import Document, Pipeline
    from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    from haystack_integrations.components.embedders.bmretriever import BMRetrieverTextEmbedder

    store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
    store.write_documents(
        [
            Document(id=record.id, content=record.text, meta={"title": record.title}, embedding=vector.tolist())
            for record, vector in index.entries()
        ]
    )
    made_by = index.manifest.encoder
    pipeline = Pipeline()
    pipeline.add_component(
        "embedder",
        BMRetrieverTextEmbedder(
            model=made_by["model"], model_kwargs={"dtype": made_by["dtype"]}, token=None, progress_bar=False
        ),
    )
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=top_k))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    answers = [pipeline.run({"embedder": {"text": question}})["retriever"]["documents"] for question in questions]
    return [
        [Hit(rank, d.score, d.id, d.meta["title"], d.content or "") for rank, d in enumerate(documents, 1)]
        for documents in answers
    ]


def ask_llama_index(index: SearchIndex, questions: Sequence[str], top_k: int) -> list[list[Hit]]:
    """
    Ask through a VectorStoreIndex over a FAISS inner-product index.

    :param index: supplies nodes, vectors and the model's name.
    :param questions: one retrieval each.
    :param top_k: hits a question.
    """
    import faiss
    from llama_index.core import StorageContext, VectorStoreIndex
    from llama_index.core.schema import TextNode
    from llama_index.vector_stores.faiss import FaissVectorStore

    from bmretriever_integrations.llama_index import BMRetrieverEmbedding

    nodes = [
        TextNode(id_=record.id, text=record.text, metadata={"title": record.title}, embedding=vector.tolist())
        for record, vector in index.entries()
    ]
    made_by = index.manifest.encoder
    embedding = BMRetrieverEmbedding(model_name=made_by["model"], dtype=made_by["dtype"])
    context = StorageContext.from_defaults(vector_store=FaissVectorStore(faiss.IndexFlatIP(index.width)))
    retriever = VectorStoreIndex(nodes, storage_context=context, embed_model=embedding).as_retriever(
        similarity_top_k=top_k
    )
    answers: list[Any] = [retriever.retrieve(question) for question in questions]
    return [
        [Hit(rank, n.score, n.node_id, n.metadata["title"], n.node.get_content()) for rank, n in enumerate(found, 1)]
        for found in answers
    ]
