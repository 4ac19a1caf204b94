"""The stores, each configured as its documentation advises for inner products. All keep float32 unless they decide otherwise."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.stores.data import TOP, Data, Question
from benchmarks.stores.ours import OurHybrid, OurIndex, OurTunedIndex

LINKS, BREADTH = 32, 200
"""Of HNSW graphs: links of a node, and nodes that are looked at while one is built or searched."""
AT_ONCE = 5000
"""Records that Chroma takes in one call."""


class Store(Protocol):
    """One store: built in one process, opened and searched in another."""

    def build(self, data: Data, folder: Path) -> None:
        """
        Fill the store and put it on the disk.

        :param data: what it holds then.
        :param folder: an empty folder for it.
        """

    def open(self, folder: Path) -> None:
        """
        Read the store from the disk.

        :param folder: where :meth:`build` put it.
        """

    def search(self, question: Question) -> list[str]:
        """
        Return the ids of the best passages.

        :param question: its words and its vector.
        """


class Chroma:
    """Chroma's persistent client."""

    def build(self, data: Data, folder: Path) -> None:
        """See :class:`Store`."""
        hnsw = {"space": "ip", "max_neighbors": LINKS, "ef_construction": BREADTH, "ef_search": BREADTH}
        collection = self._client(folder).create_collection(
            "passages", configuration={"hnsw": hnsw}, embedding_function=None
        )
        for start in range(0, len(data.records), AT_ONCE):
            some = data.records[start : start + AT_ONCE]
            collection.add(
                ids=[one["_id"] for one in some],
                embeddings=data.vectors[start : start + AT_ONCE],
                documents=[f"{one['title']} {one['text']}" for one in some],
            )

    def open(self, folder: Path) -> None:
        """See :class:`Store`."""
        self._collection = self._client(folder).get_collection("passages", embedding_function=None)

    def search(self, question: Question) -> list[str]:
        """See :class:`Store`."""
        return list(
            self._collection.query(query_embeddings=question.vector[None], n_results=TOP, include=["documents"])["ids"][
                0
            ]
        )

    @staticmethod
    def _client(folder: Path) -> Any:
        import chromadb
        from chromadb.config import Settings

        return chromadb.PersistentClient(str(folder), Settings(anonymized_telemetry=False))


class Faiss:
    """An index of FAISS, and the ids beside it."""

    def __init__(self, description: str) -> None:
        """
        :param description: for ``faiss.index_factory``.
        """
        self.description = description

    def build(self, data: Data, folder: Path) -> None:
        """See :class:`Store`."""
        import faiss

        index = faiss.index_factory(data.vectors.shape[1], self.description, faiss.METRIC_INNER_PRODUCT)
        if self.description.startswith("HNSW"):
            index.hnsw.efConstruction = BREADTH
        index.add(data.vectors)
        faiss.write_index(index, str(folder / "index.faiss"))
        (folder / "ids.json").write_text(json.dumps([one["_id"] for one in data.records]))

    def open(self, folder: Path) -> None:
        """See :class:`Store`."""
        import faiss

        self._index = faiss.read_index(str(folder / "index.faiss"))
        self._ids = json.loads((folder / "ids.json").read_text())
        if self.description.startswith("HNSW"):
            self._index.hnsw.efSearch = BREADTH

    def search(self, question: Question) -> list[str]:
        """See :class:`Store`."""
        return [self._ids[row] for row in self._index.search(question.vector[None], TOP)[1][0]]


class Haystack:
    """Haystack's document store in memory, saved as JSON."""

    def build(self, data: Data, folder: Path) -> None:
        """See :class:`Store`."""
        from haystack import Document
        from haystack.document_stores.in_memory import InMemoryDocumentStore

        store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
        store.write_documents(
            [
                Document(id=one["_id"], content=one["text"], meta={"title": one["title"]}, embedding=vector.tolist())
                for one, vector in zip(data.records, data.vectors, strict=True)
            ]
        )
        store.save_to_disk(str(folder / "store.json"))

    def open(self, folder: Path) -> None:
        """See :class:`Store`."""
        from haystack.document_stores.in_memory import InMemoryDocumentStore

        self._store = InMemoryDocumentStore.load_from_disk(str(folder / "store.json"))

    def search(self, question: Question) -> list[str]:
        """See :class:`Store`."""
        return [found.id for found in self._store.embedding_retrieval(question.vector.tolist(), top_k=TOP)]


class LlamaIndex:
    """LlamaIndex's simple vector store, saved as JSON."""

    def build(self, data: Data, folder: Path) -> None:
        """See :class:`Store`."""
        from llama_index.core.schema import TextNode
        from llama_index.core.vector_stores import SimpleVectorStore

        store = SimpleVectorStore()
        store.add(
            [
                TextNode(id_=one["_id"], text=f"{one['title']} {one['text']}", embedding=vector.tolist())
                for one, vector in zip(data.records, data.vectors, strict=True)
            ]
        )
        store.persist(str(folder / "store.json"))

    def open(self, folder: Path) -> None:
        """See :class:`Store`."""
        from llama_index.core.vector_stores import SimpleVectorStore

        self._store = SimpleVectorStore.from_persist_path(str(folder / "store.json"))

    def search(self, question: Question) -> list[str]:
        """See :class:`Store`."""
        from llama_index.core.vector_stores.types import VectorStoreQuery

        found = self._store.query(VectorStoreQuery(query_embedding=question.vector.tolist(), similarity_top_k=TOP))
        return list(found.ids)


@dataclass(frozen=True)
class Contender:
    """A store and what is said of it."""

    label: str
    store: Store
    needs: tuple[str, ...]
    """Modules that are imported before the clock runs."""
    lacks: str = ""
    """What it cannot do."""
    like: str | None = None
    """The contender whose folder it searches; None builds its own."""
    same_question: bool = True
    """Whether it is asked for the largest inner products, so that its recall can be told."""


OURS = ("bmretriever_integrations.index", "lancedb", "torch")
CONTENDERS = {
    "ours": Contender("our index, exact", OurIndex(), OURS),
    "ours-tuned": Contender("our index after `tune`", OurTunedIndex(), OURS),
    "ours-hybrid": Contender(
        "our index, hybrid (with embedding the question)", OurHybrid(), OURS, like="ours", same_question=False
    ),
    "chroma": Contender("Chroma", Chroma(), ("chromadb",), "ranking by words; exact search"),
    "faiss-flat": Contender(
        "FAISS, flat", Faiss("Flat"), ("faiss",), "texts, filters, words; replacing a record by its id"
    ),
    "faiss-hnsw": Contender(
        "FAISS, HNSW", Faiss(f"HNSW{LINKS}"), ("faiss",), "texts, filters, words; replacing or deleting a record"
    ),
    "haystack": Contender(
        "Haystack, in memory",
        Haystack(),
        ("haystack.document_stores.in_memory",),
        "approximate search; saving a part (all of it is one JSON file)",
    ),
    "llama-index": Contender(
        "LlamaIndex, simple",
        LlamaIndex(),
        ("llama_index.core.vector_stores",),
        "texts, words, inner products (it compares cosines), approximate search; saving a part",
    ),
}
