"""Haystack's own tests of filters, which every document store of its makers passes, over the retriever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lancedb")

from haystack import Document
from haystack.testing.document_store import FilterDocumentsTest, create_filterable_docs
from haystack.utils import ComponentDevice

from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.haystack import BMRetrieverIndexRetriever


class Store:
    """As much of a document store as the tests use: what is written must be their documents, which the index holds already."""

    def __init__(self, retriever: BMRetrieverIndexRetriever) -> None:
        self._retriever, self._written = retriever, list[Document]()

    def write_documents(self, documents: list[Document]) -> None:
        self._written = documents

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        if isinstance(filters, dict) and filters.get("field") == "meta.date":
            filters = {**filters, "field": "meta.moment"}
        found = self._retriever.run("any", filters=filters)["documents"]
        places = sorted(int(one.id) for one in found)  # the tests compare in the order of writing
        return [self._written[place] for place in places if place < len(self._written)]


@pytest.fixture(scope="module")
def retriever(write_index: Any, encoder: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    documents = create_filterable_docs()
    # a date of publication is a day; that of these documents is a point in time, which is a key like any other
    keys = [{"moment" if key == "date" else key: value for key, value in one.meta.items()} for one in documents]
    records = [Record(str(i), "", str(one.content), Metadata(other=keys[i])) for i, one in enumerate(documents)]
    vectors = encoder.encode_passages([record.text for record in records])
    folder: Path = write_index(tmp_path_factory.mktemp("filterable") / "index", records, vectors).folder
    cpu = ComponentDevice.from_str("cpu")
    retriever = BMRetrieverIndexRetriever(index=folder, top_k=1000, mode="vector", device=cpu)
    yield retriever
    retriever.close()


class TestFilters(FilterDocumentsTest):  # type: ignore[misc]
    @pytest.fixture
    def document_store(self, retriever: BMRetrieverIndexRetriever) -> Store:
        return Store(retriever)
