"""Records of a source against what the index holds: which are new, which have changed, and which are out of date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index.ingest.report import BuildReport
from bmretriever_integrations.index.schema import hashes_of
from bmretriever_integrations.index.table import rows_of

COMPARED = ("version", "revised", "text_hash", "record_hash")
"""Columns that a comparison reads."""


@dataclass(frozen=True, slots=True)
class Known:
    """A record without its texts: how new it is, and the hashes of its content."""

    version: int | None
    revised: str | None
    text_hash: int
    record_hash: int


@dataclass
class Choice:
    """What is to be written of some records."""

    embed: list[Record] = field(default_factory=list)
    """Records that are embedded."""
    rewrite: list[Record] = field(default_factory=list)
    """Records whose stored vectors are kept."""
    known: dict[str, Known] = field(default_factory=dict)
    """All of them by id."""
    replaces: bool = False
    """Whether one of the ids may have a row in the table already."""


def known_of(record: Record) -> Known:
    """
    Sum a record up.

    :param record: the record.
    """
    facts = record.metadata
    return Known(facts.version, facts.revised, *hashes_of(record))


def look_up(table: Any | None, ids: Sequence[str]) -> dict[str, Known]:
    """
    Read what the table knows of some ids.

    :param table: the LanceDB table, or None if there is none yet.
    :param ids: the ids; each may be unknown.
    """
    if table is None:
        return {}
    rows = rows_of(table, ids, COMPARED)
    columns = (rows.column(name).to_pylist() for name in ("id", *COMPARED))
    return {row[0]: Known(*row[1:]) for row in zip(*columns, strict=True)}


def is_newer(one: Known, other: Known) -> bool | None:
    """
    Tell which of two records of an id is the newer one: the one with the higher version, then the one revised later.

    :param one: a record.
    :param other: another one.
    :returns: True if ``one`` is newer, False if ``other`` is; None if nothing says so.
    """
    if one.version is not None and other.version is not None and one.version != other.version:
        return one.version > other.version
    if one.revised and other.revised and one.revised != other.revised:
        return one.revised > other.revised
    return None


def is_barred(withdrawn: Mapping[str, str], record_id: str, revised: str | None) -> bool:
    """
    Tell whether a record was withdrawn and not revised since.

    :param withdrawn: maps withdrawn ids to the date of the withdrawal, "" if that is unknown.
    :param record_id: the record's id.
    :param revised: the date on which the record was revised, if that is known.
    """
    day = withdrawn.get(record_id)
    return day is not None and not (day and revised and revised > day)


def choose(
    records: Sequence[tuple[Record, Known]],
    stored: Mapping[str, Known],
    withdrawn: Mapping[str, str],
    report: BuildReport,
) -> Choice:
    """
    Choose what is written of the records of a chunk. Of several versions the newest one counts, else the one that is read later.

    :param records: the records, in the order of their source.
    :param stored: the rows of their ids, those included that are still being embedded.
    :param withdrawn: see :func:`is_barred`.
    :param report: counts what becomes of each record.
    """
    standing = {key: row for key, row in stored.items() if not is_barred(withdrawn, key, row.revised)}
    taken: dict[str, tuple[Record, Known]] = {}
    for record, known in records:
        if is_barred(withdrawn, record.id, known.revised):
            report.held_back += 1
            continue
        now = taken[record.id][1] if record.id in taken else standing.get(record.id)
        if now is None or gives_way(now, known, report):
            report.outdated += record.id in taken
            taken[record.id] = record, known
    return _sorted_by_work(taken.values(), standing, bool(stored), report)


def gives_way(now: Known, known: Known, report: BuildReport) -> bool:
    """
    Tell whether a record is replaced by another one of its id that is read later.

    :param now: the record that stands.
    :param known: the other one.
    :param report: counts what becomes of the other one.
    """
    if now.record_hash == known.record_hash:
        report.unchanged += 1
        return False
    newer = is_newer(known, now)
    if newer is False:
        report.outdated += 1
        return False
    report.undecided += newer is None and (known.version is not None or known.revised is not None)
    return True


def _sorted_by_work(
    taken: Iterable[tuple[Record, Known]], standing: Mapping[str, Known], replaces: bool, report: BuildReport
) -> Choice:
    choice = Choice(replaces=replaces)
    for record, known in taken:
        row = standing.get(record.id)
        if row is not None and row.record_hash == known.record_hash:  # changed and changed back within the chunk
            report.unchanged += 1
            continue
        same_text = row is not None and row.text_hash == known.text_hash
        (choice.rewrite if same_text else choice.embed).append(record)
        choice.known[record.id] = known
    report.updated += len(choice.rewrite)
    report.embedded += len(choice.embed)
    return choice
