"""Records -> a LanceDB table -> hits: an index that follows its sources."""

from bmretriever_integrations.index.filters.filters import Filters
from bmretriever_integrations.index.hits import Hit, Hits
from bmretriever_integrations.index.ingest.build import build_index
from bmretriever_integrations.index.ingest.delete import DeleteReport, delete_records
from bmretriever_integrations.index.ingest.index_table import index_table
from bmretriever_integrations.index.ingest.report import BuildReport
from bmretriever_integrations.index.manifest import DamagedIndex, IndexMismatch
from bmretriever_integrations.index.search.search_index import SearchIndex
from bmretriever_integrations.index.tune import TuneReport, tune_index

__all__ = [
    "BuildReport",
    "DamagedIndex",
    "DeleteReport",
    "Filters",
    "Hit",
    "Hits",
    "IndexMismatch",
    "SearchIndex",
    "TuneReport",
    "build_index",
    "delete_records",
    "index_table",
    "tune_index",
]
