"""Make training pairs from documents and labelled rows, without the texts of evaluation sets.

python training/build_pairs.py --source pubmed21n1298.xml.gz --source passages.jsonl.gz:spans \\
    --against eval/scifact --against eval/bioasq-snippets:ids --to build/pairs/stage1

Labelled rows without an instruction are given one:

python training/build_pairs.py --source labelled.jsonl --instruction "Given a question, retrieve passages that answer it" \\
    --against my-task --protect relevant --to build/labelled

For many sources, or settings of a source, write a plan (training/pairs/*.yaml) and name it first:

python training/build_pairs.py training/pairs/mini_documents.yaml --against eval/scifact --to build/pairs/stage1

If the run is stopped, an earlier folder stays as it was, and the same command starts again. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bmretriever_integrations.terminal.console import open_console
from bmretriever_integrations.terminal.streams import write_lines
from bmretriever_integrations.training.pairs.build import build
from bmretriever_integrations.training.pairs.report import report_table
from bmretriever_integrations.training.pairs.settings import Plan, parse_against, parse_source, read_plan
from bmretriever_integrations.training.script import run_script, script_parser


def arguments() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    add = parser.add_argument
    add(
        "plan",
        type=Path,
        nargs="?",
        help="YAML with sources, against, protect, share, filters, seed; options add to it",
    )
    add(
        "--source",
        action="append",
        default=[],
        metavar="PATH[:PAIRING]",
        help="PubMed .xml(.gz), .jsonl(.gz), .parquet, a saved data set or one from the hub; pairing is auto (default), "
        "title, spans or labelled",
    )
    add(
        "--instruction",
        default="",
        help="instruction of labelled rows that have none, a sentence that says what the queries look for; for all --source",
    )
    add(
        "--against",
        action="append",
        default=[],
        metavar="FOLDER[:ids]",
        help="evaluation set in BEIR layout; add :ids if its document ids are the ids of the sources (PMIDs)",
    )
    add(
        "--protect",
        choices=("all", "relevant"),
        help="documents of the evaluation sets that are protected (default all)",
    )
    add("--seed", type=int, help="seed of the spans (default 0)")
    add(
        "--to",
        type=Path,
        required=True,
        help="folder of the pairs; an earlier one is replaced when the new one is complete",
    )
    return parser


def plan_of(given: argparse.Namespace) -> Plan:
    more: dict[str, Any] = {
        "sources": [parse_source(word, given.instruction) for word in given.source],
        "against": [parse_against(word) for word in given.against],
    }
    more.update({name: getattr(given, name) for name in ("protect", "seed") if getattr(given, name) is not None})
    return read_plan(given.plan, more)


def run(given: argparse.Namespace) -> None:
    report = build(plan_of(given), given.to, progress=True)
    open_console().print(report_table(report))
    for path, columns in report.columns.items():
        write_lines([f"{path}: {columns}"])
    write_lines([f"{sum(report.kept.values()):,} pairs in {given.to} (content {report.content_hash[:12]})"])
    if not report.plan.against:
        print("No evaluation set was given (--against), so the pairs may contain texts that you evaluate on.")


if __name__ == "__main__":
    run_script(arguments(), run)
