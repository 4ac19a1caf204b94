"""Records -> vectors on disk -> search. A folder of shards and a manifest; needs no torch to be searched."""

from bmretriever_integrations.index.build import build_index
from bmretriever_integrations.index.builder import BuildReport
from bmretriever_integrations.index.manifest import DamagedIndex, IndexMismatch
from bmretriever_integrations.index.search import Hit, SearchIndex

__all__ = ["BuildReport", "DamagedIndex", "Hit", "IndexMismatch", "SearchIndex", "build_index"]
