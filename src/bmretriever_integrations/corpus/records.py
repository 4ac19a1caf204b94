"""Define the records of a corpus, and the report on reading them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from bmretriever_integrations.corpus.metadata import NO_METADATA, Metadata
from bmretriever_integrations.prompts import lone_surrogate

EXAMPLES = 20
"""The number of skipped records that a report names; all of them are counted."""

RECORD_BYTES = 10_000_000
"""Most bytes of a record in its file. libxml2 refuses longer texts, too, and no model reads more than a few thousand."""
TOO_LARGE = f"larger than {RECORD_BYTES // 1_000_000} MB"
"""Reason for which a larger record is left out."""


@dataclass(frozen=True, slots=True)
class Record:
    """One passage to embed."""

    id: str
    """PMID, the ``_id`` of a BEIR line, or the article, section and number of a passage: ``PMC3166277#results.2/1``."""
    title: str
    """Title, or "" if there is none."""
    text: str
    """Text, or "" if there is only a title."""
    metadata: Metadata = NO_METADATA
    """What else the source says of it."""
    article: str = field(default="", compare=False)
    """Id of the article of which this is a passage, so that a newer version of the article takes the place of all its passages;
    "" if the record stands for itself."""
    first: bool = field(default=False, compare=False)
    """Whether it is the first passage of its article in the source, for two versions may follow each other."""


class Splitter(Protocol):
    """Cuts long texts into passages, as :class:`~bmretriever_integrations.passages.PassageSplitter` does."""

    def split(self, text: str, title: str | None = None) -> list[str]:
        """
        Cut a text.

        :param text: the text.
        :param title: what each passage is embedded with.
        :raises ValueError: if the title takes too many tokens.
        """

    def shortened_title(self, title: str) -> str:
        """
        Return a title that does not.

        :param title: the title.
        """


class DamagedSource(ValueError):
    """A source is unreadable from some place on; the records before that place were returned."""


@dataclass
class CorpusReport:
    """Counts what was read from a corpus so far and what was left out."""

    records: int = 0
    """Number of records that were read and returned."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Maps each reason to the number of records that were left out for it."""
    examples: list[str] = field(default_factory=list)
    """The first :data:`EXAMPLES` records that were left out, each with its place and the reason."""
    withdrawn: dict[str, str] = field(default_factory=dict)
    """Maps each PMID that PubMed withdrew to the latest revision date, in ISO 8601, of a citation in the file that says so; ""
    where that file has no such date. It holds the PMIDs of a source once that source was read to its end or its damage."""
    damaged: list[str] = field(default_factory=list)
    """Each source that is unreadable from some place on, with the number of its records before that place and the reason."""
    bytes_read: int = 0
    """Bytes of the sources that were read, compressed as they are."""
    bytes_total: int = 0
    """Bytes of all sources that will be read."""

    @property
    def share_read(self) -> float:
        """Share of the sources' bytes that was read, 0 to 1; 0 where their number is unknown."""
        return self.bytes_read / self.bytes_total if self.bytes_total else 0.0

    def withdraw(self, ids: Iterable[str], revised: str) -> None:
        """
        Note that PubMed withdrew some citations.

        :param ids: their PMIDs.
        :param revised: the latest revision date of the file that says so, or "".
        """
        self.withdrawn.update({one: max(revised, self.withdrawn.get(one, "")) for one in ids})

    def skip(self, where: str, reason: str) -> None:
        """
        Count a record that is left out.

        :param where: file and line, or PMID.
        :param reason: a few words, which are the same for all records with this fault.
        """
        self.skipped[reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{where}: {reason}")


def fault(record: Record) -> str | None:
    """
    Find the reason why a record cannot be embedded.

    :param record: the record. A title without a text is enough, because a tenth of PubMed's citations have no abstract.
    :returns: the reason, or None if the record can be embedded.
    """
    if not record.id:
        return "no id"
    if not record.title.strip() and not record.text.strip():
        return "neither title nor text"
    if lone_surrogate(record.id + record.title + record.text) is not None:
        return "a lone surrogate, which is no character"
    return None
