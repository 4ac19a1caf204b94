"""Read the metric and the dimension of a live store, and change nothing in it. Stores are recognised by their class names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bmretriever_integrations.stores.found import Asked, Found, Reader, metric_of, ranks_rightly
from bmretriever_integrations.stores.settings import HALF_ABOVE, PGVECTOR_LIMIT


def read_faiss(index: Any, _asked: Asked, store: str = "faiss") -> Found:
    """Read an index of FAISS. An index that normalizes its vectors compares by cosine, whatever its metric says."""
    named = {0: "ip", 1: "l2"}.get(index.metric_type, f"metric_type {index.metric_type}")
    falls = index.metric_type != 0
    if _normalizes(index) and index.metric_type in (0, 1):
        named = "cosine"
    return Found(store=store, metric=metric_of(named), named=named, width=index.d, scores_fall=falls)


def _normalizes(index: Any) -> bool:
    import faiss

    typed: Any = faiss.downcast_index(index)
    if isinstance(typed, faiss.IndexPreTransform):
        chain: Any = typed.chain
        steps = (faiss.downcast_VectorTransform(chain.at(step)) for step in range(chain.size()))
        if any(isinstance(step, faiss.NormalizationTransform) for step in steps):
            return True
    inner = getattr(typed, "index", None)
    return isinstance(inner, faiss.Index) and _normalizes(inner)


def read_chroma(collection: Any, _asked: Asked, store: str = "chroma") -> Found:
    """Read a collection of chromadb. Its dimension is that of the first vector in it."""
    configuration = collection.configuration
    index = configuration.get("hnsw") or configuration.get("spann") or {}
    named = index.get("space") or (collection.metadata or {}).get("hnsw:space") or "l2"
    first = collection.get(limit=1, include=["embeddings"])["embeddings"]
    width = len(first[0]) if first is not None and len(first) else None
    return Found(store=store, metric=metric_of(named), named=named, width=width)


def read_qdrant(client: Any, asked: Asked, store: str = "qdrant") -> Found:
    """Read one collection of a Qdrant client; the caller names the collection."""
    if asked.collection is None:
        raise ValueError("a Qdrant client holds many collections: name one, check_store(client, ..., collection='...')")
    if not client.collection_exists(asked.collection):
        raise ValueError(
            f"Qdrant has no collection {asked.collection!r}: make it first, with the settings for 'qdrant'"
        )
    vectors = client.get_collection(asked.collection).config.params.vectors
    if isinstance(vectors, Mapping):
        vectors = _pick_vector(vectors, asked)
    return Found(
        store=store, metric=metric_of(vectors.distance.value), named=vectors.distance.value, width=vectors.size
    )


def _pick_vector(vectors: Mapping[str, Any], asked: Asked) -> Any:
    name = asked.vector_name or (next(iter(vectors)) if len(vectors) == 1 else None)
    if name is None or name not in vectors:
        raise ValueError(
            f"collection {asked.collection!r} holds the vectors {', '.join(vectors) or 'none'}; name one of them, "
            f"check_store(..., vector_name='...'), got {asked.vector_name!r}"
        )
    return vectors[name]


def read_haystack_memory(store: Any, _asked: Asked) -> Found:
    """Read Haystack's InMemoryDocumentStore."""
    first = next((doc.embedding for doc in store.storage.values() if doc.embedding is not None), None)
    named = store.embedding_similarity_function
    width = None if first is None else len(first)
    return Found(store="haystack-memory", metric=metric_of(named), named=named, width=width)


def read_haystack_chroma(store: Any, asked: Asked) -> Found:
    """Read Haystack's ChromaDocumentStore: its settings and its collection, because an existing collection keeps its metric."""
    told = store.to_dict()["init_parameters"]
    named = (told.get("metadata") or {}).get("hnsw:space", told["distance_function"])
    if not ranks_rightly(metric_of(named), asked.unit) and store._collection is None:
        return Found(store="haystack-chroma", metric=metric_of(named), named=named, width=None)
    store.count_documents()  # opens the collection, or creates it with this metric
    return read_chroma(store._collection, asked, "haystack-chroma")


def read_haystack_qdrant(store: Any, _asked: Asked) -> Found:
    """Read the settings of Haystack's QdrantDocumentStore."""
    named = store.similarity
    return Found(store="haystack-qdrant", metric=metric_of(named), named=named, width=store.embedding_dim)


def read_haystack_pgvector(store: Any, _asked: Asked) -> Found:
    """Read the settings of Haystack's PgvectorDocumentStore. Without an index it accepts vectors of any width."""
    limit = PGVECTOR_LIMIT if store.vector_type == "halfvec" else HALF_ABOVE
    return Found(
        store="haystack-pgvector",
        metric=metric_of(store.vector_function),
        named=store.vector_function,
        width=store.embedding_dimension,
        width_limit=limit if store.search_strategy == "hnsw" else None,
    )


def read_haystack_faiss(store: Any, _asked: Asked) -> Found:
    """Read Haystack's FAISSDocumentStore. Only with a "Flat" index does a nearer document get a higher score."""
    falls = store.index_string != "Flat"
    return Found(store="haystack-faiss", metric="l2", named="l2", width=store.embedding_dim, scores_fall=falls)


def read_llama_memory(store: Any, _asked: Asked) -> Found:
    """Read LlamaIndex's SimpleVectorStore."""
    first = next(iter(store.data.embedding_dict.values()), None)
    width = None if first is None else len(first)
    return Found(store="llama-index-memory", metric="cosine", named="cosine", width=width)


def read_llama_faiss(store: Any, asked: Asked) -> Found:
    """Read LlamaIndex's FaissVectorStore. It returns the values of its index as scores."""
    return read_faiss(store.client, asked, "llama-index-faiss")


def read_llama_chroma(store: Any, asked: Asked) -> Found:
    """Read LlamaIndex's ChromaVectorStore."""
    return read_chroma(store.client, asked, "llama-index-chroma")


def read_llama_qdrant(store: Any, asked: Asked) -> Found:
    """Read LlamaIndex's QdrantVectorStore. Without a dense_config, the collection that it creates compares by cosine."""
    client, name = store.client, store.collection_name
    if client.collection_exists(name):
        vectors = client.get_collection(name).config.params.vectors
        named_vector = store.dense_vector_name if isinstance(vectors, Mapping) and len(vectors) > 1 else None
        existing = Asked(unit=asked.unit, collection=name, vector_name=named_vector)
        return read_qdrant(client, existing, "llama-index-qdrant")
    planned = store._dense_config
    named = "cosine" if planned is None else planned.distance.value
    width = None if planned is None else planned.size
    return Found(store="llama-index-qdrant", metric=metric_of(named), named=named, width=width)


def read_llama_pgvector(store: Any, _asked: Asked) -> Found:
    """Read LlamaIndex's PGVectorStore."""
    limit = (PGVECTOR_LIMIT if store.use_halfvec else HALF_ABOVE) if store.hnsw_kwargs else None
    return Found(
        store="llama-index-pgvector", metric="cosine", named="cosine", width=store.embed_dim, width_limit=limit
    )


def read_milvus(client: Any, asked: Asked) -> Found:
    """Read one collection of a Milvus client; the caller names the collection."""
    if asked.collection is None:
        raise ValueError("a Milvus client holds many collections: name one, check_store(client, ..., collection='...')")
    if not client.has_collection(asked.collection):
        raise ValueError(
            f"Milvus has no collection {asked.collection!r}: make it first, with the settings for 'milvus'"
        )
    return _milvus_field(client, asked.collection, asked.vector_name, "milvus")


def read_llama_milvus(store: Any, _asked: Asked) -> Found:
    """Read the collection of LlamaIndex's MilvusVectorStore. One that was there before keeps the metric it was made with."""
    return _milvus_field(store.client, store.collection_name, store.embedding_field, "llama-index-milvus")


def _milvus_field(client: Any, collection: str, field: str | None, store: str) -> Found:
    widths = {
        one["name"]: int(one["params"]["dim"])
        for one in client.describe_collection(collection)["fields"]
        if "dim" in one["params"]
    }
    chosen = field or (next(iter(widths)) if len(widths) == 1 else None)
    if chosen is None or chosen not in widths:
        raise ValueError(
            f"collection {collection!r} holds the vectors {', '.join(widths) or 'none'}; name one of them, "
            f"check_store(..., vector_name='...'), got {field!r}"
        )
    indices = (client.describe_index(collection, name) for name in client.list_indexes(collection))
    named = next((index["metric_type"] for index in indices if index["field_name"] == chosen), "no metric")
    return Found(store=store, metric=metric_of(named), named=named, width=widths[chosen])


def read_haystack_opensearch(store: Any, _asked: Asked) -> Found:
    """Read the settings of Haystack's OpenSearchDocumentStore. Without a space_type, OpenSearch compares by l2."""
    field = store.to_dict()["init_parameters"]["mappings"]["properties"]["embedding"]
    named = field.get("space_type") or (field.get("method") or {}).get("space_type", "l2")
    return Found(store="haystack-opensearch", metric=metric_of(named), named=named, width=field["dimension"])


READERS: Mapping[tuple[str, str], Reader] = MappingProxyType(
    {
        ("faiss", "Index"): read_faiss,
        ("chromadb", "Collection"): read_chroma,
        ("qdrant_client", "QdrantClient"): read_qdrant,
        ("pymilvus", "MilvusClient"): read_milvus,
        ("haystack", "InMemoryDocumentStore"): read_haystack_memory,
        ("haystack_integrations", "ChromaDocumentStore"): read_haystack_chroma,
        ("haystack_integrations", "QdrantDocumentStore"): read_haystack_qdrant,
        ("haystack_integrations", "PgvectorDocumentStore"): read_haystack_pgvector,
        ("haystack_integrations", "FAISSDocumentStore"): read_haystack_faiss,
        ("haystack_integrations", "OpenSearchDocumentStore"): read_haystack_opensearch,
        ("llama_index", "SimpleVectorStore"): read_llama_memory,
        ("llama_index", "FaissVectorStore"): read_llama_faiss,
        ("llama_index", "ChromaVectorStore"): read_llama_chroma,
        ("llama_index", "QdrantVectorStore"): read_llama_qdrant,
        ("llama_index", "PGVectorStore"): read_llama_pgvector,
        ("llama_index", "MilvusVectorStore"): read_llama_milvus,
    }
)
"""Maps the top-level package and the name of a class to the function that reads it; subclasses are read by the same function."""


def find_reader(store: object) -> Reader | None:
    """
    Recognise a store without importing its package.

    :param store: any object.
    :returns: the function that reads it, or None if the store is not known.
    """
    keys = ((kind.__module__.partition(".")[0], kind.__name__) for kind in type(store).__mro__)
    return next((READERS[key] for key in keys if key in READERS), None)
