"""Define BMRetriever's embedders for Haystack."""

from haystack_integrations.components.embedders.bmretriever.document_embedder import BMRetrieverDocumentEmbedder
from haystack_integrations.components.embedders.bmretriever.text_embedder import BMRetrieverTextEmbedder

__all__ = ["BMRetrieverDocumentEmbedder", "BMRetrieverTextEmbedder"]
