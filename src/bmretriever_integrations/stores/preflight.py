"""check_store: a wrong metric or dimension is an error before anything is written."""

from __future__ import annotations

from bmretriever_integrations.stores.live import READERS, Asked, Found, find_reader, ranks_rightly
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
    normalized: bool = False,
    *,
    collection: str | None = None,
    vector_name: str | None = None,
) -> None:
    """
    Raise if a store would rank BMRetriever's vectors wrongly or refuse their width. Nothing is written to it.

    Vectors of length 1 are ranked alike by dot product, cosine and Euclidean distance; others by dot product only.

    :param store: an index of FAISS, a collection of chromadb, a QdrantClient, or a store of Haystack or LlamaIndex (in memory,
        FAISS, Chroma, Qdrant, pgvector). Stores on a server are judged by their settings where asking would make a table.
    :param encoder_or_width: the engine or embedding, or the length of its vectors.
    :param normalized: whether the vectors are scaled to length 1; an encoder that normalizes says so itself.
    :param collection: for a QdrantClient, the name of the collection.
    :param vector_name: for a Qdrant collection of several vectors, the name of the one that is meant.
    :raises TypeError: if the store is none that is known.
    :raises ValueError: if its dimension or metric is wrong; the message says what to do.
    """
    read = find_reader(store)
    if read is None:
        known = ", ".join(f"{package}: {name}" for package, name in READERS)
        raise TypeError(f"cannot check a {type(store).__module__}.{type(store).__name__}; known are {known}")
    width, unit = vectors_of(encoder_or_width, normalized)
    found = read(store, Asked(unit=unit, collection=collection, vector_name=vector_name))
    _check_width(found, width)
    _check_metric(found, unit)


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
            f"{found.store} hands out {found.named} distances as scores, so that the best hit has the smallest. Make a new "
            f"store, {_advice(found)}."
        )


def _advice(found: Found) -> str:
    return f'{STORES[found.store].call} with settings = store_settings("{found.store}", encoder)'
