"""Gives out the records of an index with their vectors, to fill a store of another kind with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.filters.filters import condition
from bmretriever_integrations.index.frameworks.batches import in_batches
from bmretriever_integrations.index.schema import RECORD, record_of
from bmretriever_integrations.index.search.asked import explained
from bmretriever_integrations.index.search.ranking import vectors_of
from bmretriever_integrations.index.search.snapshot import Snapshots

if TYPE_CHECKING:
    from haystack import Document
    from llama_index.core.schema import TextNode

AT_ONCE = 1024
"""Rows that are read at a time."""


class Entries:
    """The part of an open index that gives out what it holds. Each call sees the last state that was committed before it."""

    def __init__(self, snapshots: Snapshots) -> None:
        """
        :param snapshots: opens the index.
        """
        self._snapshots = snapshots

    def entries(self, filters: object = None) -> Iterator[tuple[Record, Vectors]]:
        """
        Give out every record with its vector (*Shape:* (width,) float32). Retracted papers are among them, with their mark.

        :param filters: what every record fulfils, see :meth:`~bmretriever_integrations.index.SearchIndex.search`.
        :raises ValueError: at once, if the filters name what is not known.
        """
        snapshot, wanted = self._snapshots.now(), condition(filters)
        query = snapshot.table.search().select([*RECORD, "vector"])
        return _read(query if wanted is None else query.where(wanted), snapshot.manifest.width, filters)

    def to_haystack(
        self, batch_size: int = 1024, *, filters: object = None, plain_metadata: bool = False
    ) -> Iterator[list[Document]]:
        """
        Give out every record as a Document of Haystack with its vector, in lists, to fill a document store with.

        Its id is the record's, its content the text. Its meta holds the title, all facts, ``retracted`` as true or false and,
        where the date is known, ``year`` as a number. Memory holds one list.

        :param batch_size: Documents in a list.
        :param filters: see :meth:`entries`.
        :param plain_metadata: for stores that take texts, numbers, true and false alone: a list becomes one text with semicolons
            between its parts, and what lies deeper JSON.
        :raises ValueError: at once, if the size is not positive or the filters name what is not known.
        """
        from bmretriever_integrations.index.frameworks.haystack import document_of

        return in_batches(self.entries(filters), document_of, batch_size, plain_metadata)

    def to_llama_index(
        self, batch_size: int = 1024, *, filters: object = None, plain_metadata: bool = False
    ) -> Iterator[list[TextNode]]:
        """
        Give out every record as a node of LlamaIndex with its vector, in lists, to fill a vector store with.

        Its metadata is that of :meth:`to_haystack` and the id.

        :param batch_size: nodes in a list.
        :param filters: see :meth:`entries`.
        :param plain_metadata: see :meth:`to_haystack`.
        :raises ValueError: see :meth:`to_haystack`.
        """
        from bmretriever_integrations.index.frameworks.llama_index import node_of

        return in_batches(self.entries(filters), node_of, batch_size, plain_metadata)


def _read(query: Any, width: int, filters: object) -> Iterator[tuple[Record, Vectors]]:
    with explained(filters):
        batches = query.to_batches(AT_ONCE)
    for batch in batches:
        rows = batch.select(list(RECORD)).to_pylist()
        yield from ((record_of(row), vector) for row, vector in zip(rows, vectors_of(batch, width), strict=True))
