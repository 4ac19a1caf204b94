"""Nodes with titles -> the text that BMRetriever was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from llama_index.core.schema import BaseNode, Node, TextNode

NodeT = TypeVar("NodeT", bound=BaseNode)


def prepare_nodes(nodes: Sequence[NodeT], title_key: str = "title") -> list[NodeT]:
    """
    Copy nodes so that LlamaIndex embeds them as ``{title} {text}``, which is how BMRetriever was trained.

    LlamaIndex embeds a node as lines of ``key: value``, an empty line and the text, so file paths and dates get into the
    vector. The copies embed their title and their text alone; a node without title embeds its text. Everything is set on the
    node itself, so VectorStoreIndex, IngestionPipeline and any other path make the same vectors, and documents hand it on to
    the chunks that a node parser makes of them. Call it last, when no more metadata is to come: what comes later would be
    embedded again.

    Templates serve an LLM's prompt as well: there, metadata now reads ``value`` where it read ``key: value``. Name keys that an
    LLM should not see in ``excluded_llm_metadata_keys``.

    :param nodes: documents or text nodes; they are not changed. Embeddings that they already have are dropped in the copies.
    :param title_key: the metadata key of the title.
    :returns: the copies, in the same order.
    :raises TypeError: if one of them is no node with a text template.
    """
    for node in nodes:
        if not isinstance(node, TextNode | Node):
            raise TypeError(f"nodes must be documents or text nodes, got {type(node).__name__}")
    return [_prepare(node, title_key) for node in nodes]


def _prepare(node: NodeT, title_key: str) -> NodeT:
    title = node.metadata.get(title_key)
    # a key without title would put "None" or a space in front of the text
    kept = set() if title is None or not str(title).strip() else {title_key}
    keys = dict.fromkeys([*node.excluded_embed_metadata_keys, *node.metadata, title_key])
    return node.model_copy(
        update={
            "text_template": "{metadata_str} {content}",
            "metadata_template": "{value}",
            "metadata": dict(node.metadata),
            "excluded_embed_metadata_keys": [key for key in keys if key not in kept],
            "embedding": None,
        }
    )
