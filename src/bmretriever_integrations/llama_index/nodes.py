"""Prepare nodes with titles, so that LlamaIndex embeds them in the form with which BMRetriever was trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from llama_index.core.schema import BaseNode, Node, TextNode

NodeT = TypeVar("NodeT", bound=BaseNode)


def prepare_nodes(nodes: Sequence[NodeT], title_key: str = "title") -> list[NodeT]:
    """
    Copy nodes so that LlamaIndex embeds them as ``{title} {text}``, the form with which BMRetriever was trained.

    By default LlamaIndex embeds a node as lines of ``key: value``, an empty line and the text, so that file paths and dates
    change the vector. Of the copies, it embeds title and text alone; of a copy without title, the text. The settings are stored
    in the nodes, so VectorStoreIndex, IngestionPipeline and all other parts make the same vectors, and the chunks that a node
    parser makes from a document inherit the settings. Call this function after all metadata has been added: metadata that is
    added later is embedded.

    The templates also change the prompt of an LLM: metadata appears there as ``value`` instead of ``key: value``. List the keys
    that an LLM should not see in ``excluded_llm_metadata_keys``.

    :param nodes: documents or text nodes; they are not changed. The copies have no embeddings.
    :param title_key: the metadata key of the title.
    :returns: the copies, in the same order.
    :raises TypeError: if an element is not a document or a text node.
    """
    for node in nodes:
        if not isinstance(node, TextNode | Node):
            raise TypeError(f"nodes must be documents or text nodes, got {type(node).__name__}")
    return [_prepare(node, title_key) for node in nodes]


def _prepare(node: NodeT, title_key: str) -> NodeT:
    title = node.metadata.get(title_key)
    # without this check, a missing title would put "None" or a space before the text
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
