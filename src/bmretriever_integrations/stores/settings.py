"""Keep one frozen record for each vector store, and make the store's constructor settings from it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

Metric = Literal["dot", "cosine", "l2", "other"]

HALF_ABOVE = 2000
"""The most dimensions of pgvector's ``vector`` in an index (README of pgvector 0.8, "HNSW", supported types)."""
PGVECTOR_LIMIT = 4000
"""The most dimensions of pgvector's ``halfvec`` in an index (the same source)."""


class HasWidth(Protocol):
    """An engine, an embedding or an embedder that knows the length of its vectors and whether it normalizes them."""

    @property
    def width(self) -> int:
        """Length of a vector."""

    @property
    def normalize(self) -> bool:
        """Whether vectors are scaled to length 1."""


@dataclass(frozen=True, kw_only=True)
class Store:
    """The facts about one vector store."""

    name: str
    """The key of the store in :data:`STORES`."""
    call: str
    """The Python call to which the settings are passed."""
    source: str
    """Package and version in which the settings' names and the behaviour were read."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings, without the dimension."""
    width_key: str | None = None
    """Name of the setting for the dimension; None where the first vector decides it."""
    half: Mapping[str, Any] | None = None
    """The settings that replace ``settings`` above :data:`HALF_ABOVE` dimensions; None where there are no others."""
    width_limit: int | None = None
    """The most dimensions that the store accepts; None if there is no limit."""
    needs_unit_vectors: str | None = None
    """The reason why this store ranks only vectors of length 1 correctly; None where it ranks all vectors correctly."""


_CHROMA_COLLECTION = MappingProxyType({"configuration": {"hnsw": {"space": "ip"}}, "embedding_function": None})
_FAISS = MappingProxyType({"description": "Flat", "metric": 0})  # faiss.METRIC_INNER_PRODUCT is 0
_QDRANT = MappingProxyType({"distance": "Dot"})


_ALL = (
    Store(
        name="faiss",
        call="faiss.index_factory(*settings.values())",
        source="faiss-cpu 1.15.1",
        width_key="d",
        settings=_FAISS,
    ),
    Store(
        name="chroma",
        call="client.create_collection(name, **settings)",
        source="chromadb 1.5.9",
        settings=_CHROMA_COLLECTION,
    ),
    Store(
        name="qdrant",
        call="client.create_collection(name, vectors_config=VectorParams(**settings))",
        source="qdrant-client 1.20.0",
        width_key="size",
        settings=_QDRANT,
    ),
    Store(
        name="milvus",
        call="client.create_collection(name, **settings)",
        source="pymilvus 2.6.17",
        width_key="dimension",
        settings={"metric_type": "IP"},
    ),
    Store(
        name="haystack-memory",
        call="InMemoryDocumentStore(**settings)",
        source="haystack-ai 3.4.0",
        settings={"embedding_similarity_function": "dot_product"},
    ),
    Store(
        name="haystack-chroma",
        call="ChromaDocumentStore(**settings)",
        source="chroma-haystack 5.0.0",
        settings={"distance_function": "ip"},
    ),
    Store(
        name="haystack-qdrant",
        call="QdrantDocumentStore(**settings)",
        source="qdrant-haystack 13.1.0",
        width_key="embedding_dim",
        settings={"similarity": "dot_product"},
    ),
    Store(
        name="haystack-pgvector",
        call="PgvectorDocumentStore(**settings)",
        source="pgvector-haystack 8.1.2",
        width_key="embedding_dimension",
        settings={"vector_function": "inner_product", "vector_type": "vector"},
        half={"vector_function": "inner_product", "vector_type": "halfvec"},
        width_limit=PGVECTOR_LIMIT,
    ),
    Store(
        name="haystack-faiss",
        call="FAISSDocumentStore(**settings)",
        source="faiss-haystack 3.0.0",
        width_key="embedding_dim",
        settings={"index_string": "Flat"},
        needs_unit_vectors="it makes its index without a metric, which is Euclidean distance",
    ),
    Store(
        name="haystack-opensearch",
        call="OpenSearchDocumentStore(**settings)",
        source="opensearch-haystack 9.0.0",
        width_key="embedding_dim",
        settings={"method": {"name": "hnsw", "engine": "faiss", "space_type": "innerproduct"}},
    ),
    Store(
        name="llama-index-memory",
        call="SimpleVectorStore(**settings)",
        source="llama-index-core 0.14.25",
        needs_unit_vectors="it compares by cosine only",
    ),
    Store(
        name="llama-index-faiss",
        call="FaissVectorStore(faiss_index=faiss.index_factory(*settings.values()))",
        source="llama-index-vector-stores-faiss 0.7.0",
        width_key="d",
        settings=_FAISS,
    ),
    Store(
        name="llama-index-chroma",
        call="ChromaVectorStore(chroma_collection=client.create_collection(name, **settings))",
        source="llama-index-vector-stores-chroma 0.6.0",
        settings=_CHROMA_COLLECTION,
        needs_unit_vectors="its score is exp(-distance), which overflows or vanishes on longer vectors",
    ),
    Store(
        name="llama-index-qdrant",
        call="QdrantVectorStore(name, client=client, dense_config=VectorParams(**settings))",
        source="llama-index-vector-stores-qdrant 0.10.4",
        width_key="size",
        settings=_QDRANT,
    ),
    Store(
        name="llama-index-milvus",
        call="MilvusVectorStore(uri, **settings)",
        source="llama-index-vector-stores-milvus 1.2.0",
        width_key="dim",
        settings={"similarity_metric": "IP"},
    ),
    Store(
        name="llama-index-pgvector",
        call="PGVectorStore.from_params(..., **settings)",
        source="llama-index-vector-stores-postgres 0.9.0",
        width_key="embed_dim",
        settings={"use_halfvec": False},
        half={"use_halfvec": True},
        width_limit=PGVECTOR_LIMIT,
        needs_unit_vectors="every query orders by cosine distance",
    ),
)

STORES: Mapping[str, Store] = MappingProxyType({store.name: store for store in _ALL})
"""Maps the name of every known store to its record."""


def store_settings(store: str, encoder_or_width: HasWidth | int, normalize: bool = False) -> dict[str, Any]:
    """
    Return the settings with which a store ranks BMRetriever's vectors correctly.

    Pass them to the call that ``STORES[store].call`` shows, e.g.
    ``QdrantDocumentStore(**store_settings("haystack-qdrant", encoder))``. Where the call contains ``settings.values()``, the
    function has no keyword arguments, and the order of the dict is the order of its arguments. Stores without a dimension among
    their settings take it from the first vector.

    :param store: a key of :data:`STORES`.
    :param encoder_or_width: the engine, the embedding of LlamaIndex, the embedder of Haystack, or the length of its vectors.
    :param normalize: whether the vectors are scaled to length 1. It may be left out for an encoder that normalizes.
    :returns: keyword arguments; the caller may change and extend them.
    :raises ValueError: if the name is unknown, if the store needs vectors of length 1 and these are not, or if its index
        does not accept vectors of this width.
    """
    if store not in STORES:
        raise ValueError(f"store must be one of {', '.join(STORES)}, got {store!r}")
    known = STORES[store]
    width, unit = vectors_of(encoder_or_width, normalize)
    if known.needs_unit_vectors and not unit:
        raise ValueError(unit_vectors_message(known))
    if known.width_limit is not None and width > known.width_limit:
        raise ValueError(too_wide_message(known, width, known.width_limit))
    chosen = known.half if known.half is not None and width > HALF_ABOVE else known.settings
    sized = {known.width_key: width} if known.width_key else {}
    return {**sized, **deepcopy(dict(chosen))}


def vectors_of(encoder_or_width: HasWidth | int, normalize: bool) -> tuple[int, bool]:
    """
    Find the width of vectors, and whether they have length 1.

    :param encoder_or_width: an engine or embedding, or the width of its vectors.
    :param normalize: whether the caller says that the vectors are scaled to length 1.
    :returns: the width, and whether the vectors are scaled to length 1.
    :raises TypeError: if ``encoder_or_width`` is neither an encoder nor a number.
    :raises ValueError: if the width is not positive.
    """
    width = encoder_or_width if isinstance(encoder_or_width, int) else getattr(encoder_or_width, "width", None)
    if not isinstance(width, int) or isinstance(width, bool):
        raise TypeError(f"expected an encoder or the width of its vectors, got {encoder_or_width!r}")
    if width < 1:
        raise ValueError(f"the width of vectors is at least 1, got {width}")
    return width, normalize or bool(getattr(encoder_or_width, "normalize", False))


def unit_vectors_message(store: Store) -> str:
    """
    Explain why a store needs vectors of length 1, and what the user can do.

    :param store: the record of the store.
    """
    return (
        f"{store.name} ranks BMRetriever's vectors wrongly ({store.source}): {store.needs_unit_vectors}. Encode with "
        "normalize=True and say so here, or use a store that compares by dot product: "
        f"{', '.join(other.name for other in _ALL if not other.needs_unit_vectors)}."
    )


def too_wide_message(store: Store, width: int, limit: int) -> str:
    """
    Explain that an index does not accept vectors of this width, and what the user can do.

    :param store: the record of the store.
    :param width: the width of the vectors.
    :param limit: the limit of the index.
    """
    return (
        f"{store.name}: pgvector's indexes take {limit:,} dimensions at most, got {width:,}. Encode with "
        f"truncate_dim={limit} (it costs accuracy: measure it), or take a checkpoint of fewer dimensions."
    )
