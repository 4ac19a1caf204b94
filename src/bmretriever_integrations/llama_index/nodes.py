"""Prepare nodes with titles, so that LlamaIndex embeds them in the form with which BMRetriever was trained."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

from llama_index.core.schema import BaseNode, Node, TextNode

from bmretriever_integrations.prompts import is_missing

NodeT = TypeVar("NodeT", bound=BaseNode)


def prepare_nodes(
    nodes: Sequence[NodeT], title_key: str = "title", *, llm_keys: Sequence[str] | None = None
) -> list[NodeT]:
    """
    Copy nodes so that LlamaIndex embeds them as ``{title} {text}``, the form with which BMRetriever was trained.

    By default LlamaIndex embeds a node as lines of ``key: value``, an empty line and the text, so that file paths and dates
    change the vector. Of the copies, it embeds title and text alone; of a copy without title, the text. A missing value (None,
    NaN, ``pandas.NA``) is no title. The settings are stored in the nodes, so VectorStoreIndex, IngestionPipeline and all other
    parts make the same vectors, and the chunks that a node parser makes from a document inherit the settings. Call this function
    after all metadata has been added: metadata that is added later is embedded.

    The templates also change the prompt of an LLM: metadata appears there as ``value`` instead of ``key: value``.

    :param nodes: documents or text nodes; they are not changed, and the copies share nothing with them. The copies have no
        embeddings.
    :param title_key: the metadata key of the title.
    :param llm_keys: the metadata keys that an LLM sees. LlamaIndex's splitters make chunks shorter by the longer of what is
        embedded and what an LLM sees, so long metadata (authors, MeSH terms) leaves little or no text in a chunk. With None, an
        LLM sees all keys but those in the nodes' own ``excluded_llm_metadata_keys``.
    :returns: the copies, in the same order.
    :raises TypeError: if an element is not a document or a text node, or if ``llm_keys`` is a string.
    """
    if isinstance(llm_keys, str):
        raise TypeError(f"llm_keys must be a list of metadata keys: write [{llm_keys!r}]")
    for node in nodes:
        if not isinstance(node, TextNode | Node):
            raise TypeError(f"nodes must be documents or text nodes, got {type(node).__name__}")
    return [_prepare(node, title_key, llm_keys) for node in nodes]


def _prepare(node: NodeT, title_key: str, llm_keys: Sequence[str] | None) -> NodeT:
    title = node.metadata.get(title_key)
    # without this check, a missing title would put "None", "nan" or a space before the text
    embedded = set() if is_missing(title) or not str(title).strip() else {title_key}
    settings = {
        "text_template": "{metadata_str} {content}",
        "metadata_template": "{value}",
        "excluded_embed_metadata_keys": _others(node, [*node.excluded_embed_metadata_keys, title_key], embedded),
        "embedding": None,
    }
    if llm_keys is not None:
        settings["excluded_llm_metadata_keys"] = _others(node, node.excluded_llm_metadata_keys, llm_keys)
    copied = node.model_copy(update=settings).model_copy(deep=True)
    if isinstance(title, str):
        copied.metadata[title_key] = str.__str__(
            title
        )  # LlamaIndex would embed the name of an Enum instead of its text
    return copied


def _others(node: BaseNode, excluded: Sequence[str], kept: Collection[str]) -> list[str]:
    """Return the keys that are excluded so far and all metadata keys, without those that are kept."""
    return [key for key in dict.fromkeys([*excluded, *node.metadata]) if key not in kept]
