"""Use BMRetriever in LangChain: ``BMRetrieverEmbeddings()`` for any vector store, ``BMRetrieverIndexRetriever`` for an index."""

from __future__ import annotations

try:
    import langchain_core  # noqa: F401
except ImportError as error:
    raise ImportError(
        f'LangChain could not be imported ({error}): run pip install "bmretriever-integrations[langchain]"'
    ) from error

from bmretriever_integrations.langchain.embeddings import BMRetrieverEmbeddings
from bmretriever_integrations.langchain.retriever import BMRetrieverIndexRetriever

__all__ = ["BMRetrieverEmbeddings", "BMRetrieverIndexRetriever"]
