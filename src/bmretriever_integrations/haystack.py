"""Offer the Haystack components under this package's own name.

They are defined in ``haystack_integrations``, because Haystack trusts that package when it loads a pipeline from YAML.
"""

from __future__ import annotations

try:
    import haystack as _haystack  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "haystack":
        raise
    raise ImportError(
        'the Haystack components need Haystack: run pip install "bmretriever-integrations[haystack]"'
    ) from error

from haystack_integrations.components.embedders.bmretriever import BMRetrieverDocumentEmbedder, BMRetrieverTextEmbedder
from haystack_integrations.components.preprocessors.bmretriever import BMRetrieverDocumentSplitter
from haystack_integrations.components.retrievers.bmretriever import BMRetrieverIndexRetriever

__all__ = [
    "BMRetrieverDocumentEmbedder",
    "BMRetrieverDocumentSplitter",
    "BMRetrieverIndexRetriever",
    "BMRetrieverTextEmbedder",
]
