"""Records of a source against what the index holds: which are new, which have changed, and which are out of date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index.ingest.articles import Articles
from bmretriever_integrations.index.ingest.known import Known, is_newer
from bmretriever_integrations.index.ingest.report import BuildReport


@dataclass
class Choice:
    """What is to be written of some records."""

    embed: list[Record] = field(default_factory=list)
    """Records that are embedded."""
    rewrite: list[Record] = field(default_factory=list)
    """Records whose stored vectors are kept."""
    known: dict[str, Known] = field(default_factory=dict)
    """All of them by id."""
    gone: set[str] = field(default_factory=set)
    """Ids of rows that go: passages of articles whose newest version has no such passage."""
    replaces: bool = False
    """Whether one of the ids may have a row in the table already."""


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
    unfinished: str = "",
) -> Choice:
    """
    Choose what is written of the records of a chunk. Of several versions the newest one counts, else the one that is read later.

    The passages of an article come and go together: an older version of an article adds none, and a newer one leaves none.

    :param records: the records, in the order of their source.
    :param stored: the rows of their ids and of their articles, those included that are still being embedded.
    :param withdrawn: see :func:`is_barred`.
    :param report: counts what becomes of each record.
    :param unfinished: id of an article of which not all passages are here, so that none of its rows goes.
    """
    standing = {key: row for key, row in stored.items() if not is_barred(withdrawn, key, row.revised)}
    taken: dict[str, tuple[Record, Known]] = {}
    articles = Articles(standing, taken, unfinished, report)
    for record, known in articles.not_older(records):
        if is_barred(withdrawn, record.id, known.revised):
            report.held_back += 1
            continue
        now = taken[record.id][1] if record.id in taken else standing.get(record.id)
        if now is None or gives_way(now, known, report):
            report.outdated += record.id in taken
            taken[record.id] = record, known
    choice = _sorted_by_work(taken.values(), standing, bool(stored), report)
    choice.gone = articles.gone
    report.removed += len(choice.gone)
    return choice


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
