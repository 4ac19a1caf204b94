"""What a run that follows sources did."""

from __future__ import annotations

from dataclasses import dataclass, field

from bmretriever_integrations.corpus.records import CorpusReport


@dataclass
class BuildReport:
    """
    What a run did.

    Each record that was read is counted once, in ``embedded``, ``updated``, ``unchanged``, ``outdated`` or ``held_back``.
    """

    corpus: CorpusReport
    records: int = 0
    """Number of records in the index at the end."""
    embedded: int = 0
    """Number of records that this run embedded, because their ids or their texts are new."""
    updated: int = 0
    """Number of records of which only the metadata changed; their stored vectors are kept."""
    unchanged: int = 0
    """Number of records that the index already holds just so."""
    outdated: int = 0
    """Number of records that gave way to a newer one of the same id."""
    held_back: int = 0
    """Number of records that PubMed withdrew and did not revise since."""
    withdrawn: int = 0
    """Number of records that were removed from the index, because PubMed withdrew them."""
    removed: int = 0
    """Number of passages that were removed from the index, because the newest version of their article has no such passage."""
    undecided: int = 0
    """Number of PubMed records that replaced another one of the same id though neither is dated as the newer."""
    not_read_again: list[str] = field(default_factory=list)
    """Names of the sources that an earlier run read to their end, or to their damage, and that have not changed."""
    cut: int = 0
    """Number of records embedded by this run that were longer than ``max_length`` and were cut."""
