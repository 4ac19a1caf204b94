"""Check a store's metric and dimension before anything is written to it."""

from __future__ import annotations

from typing import Any

from bmretriever_integrations.stores.found import Asked, Found, ranks_rightly
from bmretriever_integrations.stores.live import READERS, find_reader
from bmretriever_integrations.stores.settings import (
    STORES,
    HasWidth,
    too_wide_message,
    unit_vectors_message,
    vectors_of,
)


def check_store(
    store: object,
    encoder_or_width: HasWidth | int,
    normalize: bool = False,
    *,
    collection: str | None = None,
    vector_name: str | None = None,
    normalized: bool = False,
) -> None:
    """
    Raise an error if a store would rank BMRetriever's vectors wrongly or refuse their width. Nothing is written to the store.

    Dot product, cosine and Euclidean distance rank vectors of length 1 in the same order. Other vectors need the dot product.

    :param store: an index of FAISS, a collection of chromadb, a QdrantClient, a MilvusClient, a store of Haystack or LlamaIndex
        (in memory, FAISS, Chroma, Qdrant, pgvector, Milvus, OpenSearch), or LlamaIndex's VectorStoreIndex, whose store is
        checked. Where a request to a server would create a table, only the store's settings are read.
    :param encoder_or_width: the engine, the embedding of LlamaIndex, the embedder of Haystack, or the length of its vectors.
    :param normalize: whether the vectors are scaled to length 1. It may be left out for an encoder that normalizes.
    :param collection: for a QdrantClient or a MilvusClient, the name of the collection.
    :param vector_name: for a collection of Qdrant or Milvus with several vectors, the name of the vector to check.
    :param normalized: the former name of ``normalize``.
    :raises TypeError: if this kind of store is not known.
    :raises ValueError: if its dimension or metric is wrong; the message says what to do.
    """
    store = _store_in(store)
    read = find_reader(store)
    if read is None:
        known = ", ".join(f"{package}: {name}" for package, name in READERS)
        raise TypeError(f"cannot check a {type(store).__module__}.{type(store).__name__}; known are {known}")
    width, unit = vectors_of(encoder_or_width, normalize or normalized)
    found = read(store, Asked(unit=unit, collection=collection, vector_name=vector_name))
    _check_width(found, width)
    _check_metric(found, unit)


def _store_in(given: Any) -> Any:
    """Return the store of a VectorStoreIndex; every other object is returned itself."""
    kinds = ((kind.__module__.partition(".")[0], kind.__name__) for kind in type(given).__mro__)
    return given.vector_store if ("llama_index", "VectorStoreIndex") in kinds else given


def _check_width(found: Found, width: int) -> None:
    if found.width is not None and found.width != width:
        shorter = f", or encode with truncate_dim={found.width} (it costs accuracy)" if found.width < width else ""
        raise ValueError(
            f"{found.store} holds vectors of {found.width} dimensions, the encoder makes {width}. Make a new store, "
            f"{_advice(found)}{shorter}."
        )
    if found.width_limit is not None and width > found.width_limit:
        raise ValueError(too_wide_message(STORES[found.store], width, found.width_limit))


def _check_metric(found: Found, unit: bool) -> None:
    if STORES[found.store].needs_unit_vectors and not unit:
        raise ValueError(unit_vectors_message(STORES[found.store]))
    if not ranks_rightly(found.metric, unit):
        raise ValueError(
            f"{found.store} compares by {found.named}, BMRetriever by dot product: its vectors are not of length 1, so hits "
            f"would come in another order. Make a new store, {_advice(found)}, or encode with normalize=True and say so here."
        )
    if found.scores_fall and found.store in ("llama-index-faiss", "haystack-faiss"):
        raise ValueError(
            f"{found.store} returns {found.named} distances as scores, so the best hit has the smallest score. Make a new "
            f"store, {_advice(found)}."
        )


def _advice(found: Found) -> str:
    return f'{STORES[found.store].call} with settings = store_settings("{found.store}", encoder)'
