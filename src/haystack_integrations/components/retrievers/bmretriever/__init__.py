"""Define the retriever over a BMRetriever index for Haystack."""

from haystack_integrations.components.retrievers.bmretriever.index_retriever import BMRetrieverIndexRetriever

__all__ = ["BMRetrieverIndexRetriever"]
