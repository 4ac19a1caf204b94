"""What a corpus is made of, and what its reading came upon."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from bmretriever_integrations.prompts import lone_surrogate

EXAMPLES = 20
"""How many skipped records a report names; all are counted."""


@dataclass(frozen=True, slots=True)
class Record:
    """One passage to embed."""

    id: str
    """PMID, or the ``_id`` of a BEIR line."""
    title: str
    text: str


class DamagedSource(ValueError):
    """A source breaks off or cannot be read on; the records before the damage were given out."""


@dataclass
class CorpusReport:
    """What the reading of a corpus came upon so far."""

    records: int = 0
    """Number of records that were read and passed on."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> records left out for it."""
    examples: list[str] = field(default_factory=list)
    """The first :data:`EXAMPLES` that were left out: where, and why."""
    deleted: dict[str, int] = field(default_factory=dict)
    """PMID that PubMed withdrew -> records given out before its withdrawal."""
    share_read: float = 0.0
    """Part of the sources' bytes that was read, 0 to 1."""

    def skip(self, where: str, reason: str) -> None:
        """
        Count a record that is left out.

        :param where: file and line, or PMID.
        :param reason: a few words, the same for all records of the kind.
        """
        self.skipped[reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{where}: {reason}")


def fault(record: Record) -> str | None:
    """
    Tell why a record cannot be embedded.

    :param record: what was read. A title alone is enough, as a tenth of PubMed's citations has no abstract.
    :returns: the reason, or None if it can.
    """
    if not record.id:
        return "no id"
    if not record.title.strip() and not record.text.strip():
        return "neither title nor text"
    if lone_surrogate(record.id + record.title + record.text) is not None:
        return "a lone surrogate, which is no character"
    return None
