"""Records and hits as Documents of Haystack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.hits import Hit

if TYPE_CHECKING:
    from haystack import Document


def document_of(found: Record | Hit, vector: Vectors | None = None) -> Document:
    """
    Make a Document of a record or a hit.

    Its id is the record's, its content the text, and its meta the title and all facts that are known. The embedder for documents
    makes the index's own vector of it with ``meta_fields_to_embed=["title"]``.

    :param found: the record, or the hit, whose score the Document gets.
    :param vector: the record's vector. *Shape:* (width,)
    """
    from haystack import Document

    facts = found.metadata.facts() if isinstance(found, Record) else found.metadata
    return Document(
        id=found.id,
        content=found.text,
        meta={"title": found.title, **{key: value for key, value in facts.items() if key != "title"}},
        score=None if isinstance(found, Record) else found.score,
        embedding=None if vector is None else vector.tolist(),
    )
