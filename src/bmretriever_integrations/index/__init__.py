"""Records -> a LanceDB table -> hits: an index that follows its sources."""

from bmretriever_integrations.index.hits import Hit, Hits
from bmretriever_integrations.index.manifest import DamagedIndex, IndexMismatch

__all__ = ["DamagedIndex", "Hit", "Hits", "IndexMismatch"]
