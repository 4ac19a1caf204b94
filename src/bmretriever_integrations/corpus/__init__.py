"""Read the records of a corpus from files, one at a time."""

from bmretriever_integrations.corpus.reading import read_corpus
from bmretriever_integrations.corpus.records import CorpusReport, DamagedSource, Record

__all__ = ["CorpusReport", "DamagedSource", "Record", "read_corpus"]
