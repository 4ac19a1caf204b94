"""Records and hits as text nodes of LlamaIndex."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.hits import Hit

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode


def node_of(found: Record | Hit, vector: Vectors | None = None) -> TextNode:
    """
    Make a text node of a record or a hit.

    Its id is the record's, and its metadata holds the id, the title and all facts that are known. What is embedded of it is title
    and text, which gives the index's own vector. A language model sees id, title and text.

    :param found: the record or the hit.
    :param vector: the record's vector. *Shape:* (width,)
    """
    from llama_index.core.schema import TextNode

    facts = found.metadata.facts() if isinstance(found, Record) else found.metadata
    metadata = {"id": found.id, "title": found.title}
    metadata |= {key: value for key, value in facts.items() if key not in metadata}
    embedded = ("title",) if found.title.strip() else ()  # LlamaIndex would put a space for an empty one
    return TextNode(
        id_=found.id,
        text=found.text,
        metadata=metadata,
        # the settings of bmretriever_integrations.llama_index.prepare_nodes
        text_template="{metadata_str} {content}",
        metadata_template="{value}",
        excluded_embed_metadata_keys=[key for key in metadata if key not in embedded],
        excluded_llm_metadata_keys=[key for key in metadata if key not in ("id", "title")],
        embedding=None if vector is None else vector.tolist(),
    )
