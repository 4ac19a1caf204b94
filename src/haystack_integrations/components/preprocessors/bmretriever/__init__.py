"""Define BMRetriever's preprocessor for Haystack."""

from haystack_integrations.components.preprocessors.bmretriever.document_splitter import BMRetrieverDocumentSplitter

__all__ = ["BMRetrieverDocumentSplitter"]
