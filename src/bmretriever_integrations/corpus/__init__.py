"""Read the records of a corpus from files, one at a time."""

from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.reading import read_corpus, read_source
from bmretriever_integrations.corpus.records import CorpusReport, DamagedSource, Record
from bmretriever_integrations.corpus.sources import check_sources

__all__ = ["CorpusReport", "DamagedSource", "Metadata", "Record", "check_sources", "read_corpus", "read_source"]
