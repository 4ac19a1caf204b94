"""The two Haystack components, under this package's own name.

They live in ``haystack_integrations``: from there Haystack loads a pipeline's YAML without being told to trust the module.
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

__all__ = ["BMRetrieverDocumentEmbedder", "BMRetrieverTextEmbedder"]
