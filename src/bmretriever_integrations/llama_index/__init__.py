"""Use BMRetriever in LlamaIndex: ``Settings.embed_model = BMRetrieverEmbedding()``."""

from __future__ import annotations

try:
    import llama_index.core  # noqa: F401
except ImportError as error:
    raise ImportError(
        f'LlamaIndex could not be imported ({error}): run pip install "bmretriever-integrations[llama-index]"'
    ) from error

from bmretriever_integrations.llama_index.embedding import BMRetrieverEmbedding
from bmretriever_integrations.llama_index.hyde import BMRetrieverHyDE
from bmretriever_integrations.llama_index.index_retriever import BMRetrieverIndexRetriever
from bmretriever_integrations.llama_index.node_parser import BMRetrieverNodeParser
from bmretriever_integrations.llama_index.nodes import prepare_nodes

__all__ = [
    "BMRetrieverEmbedding",
    "BMRetrieverHyDE",
    "BMRetrieverIndexRetriever",
    "BMRetrieverNodeParser",
    "prepare_nodes",
]
