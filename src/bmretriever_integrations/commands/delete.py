"""Run ``bmretriever delete``, which removes records from an index."""

from __future__ import annotations

import argparse
from pathlib import Path

from bmretriever_integrations.terminal.streams import write_lines

NAMED = 10
"""The most ids that a line names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    parser.add_argument("index", metavar="DIR", help="an index that `bmretriever index` made")
    parser.add_argument("--id", nargs="+", action="extend", default=[], metavar="ID", help="ids of the records")
    parser.add_argument("--ids", type=Path, metavar="FILE", help="file of ids, one a line")


def run(arguments: argparse.Namespace) -> int:
    """
    Delete the records and say from which sources they would come back.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    """
    ids = [*arguments.id, *(_ids_of(arguments.ids) if arguments.ids is not None else [])]
    if not ids:
        raise ValueError("no record is named: add --id ID, or --ids FILE")
    from bmretriever_integrations.index import delete_records

    report = delete_records(arguments.index, ids)
    deleted = len(report.deleted)
    lines = [f"{arguments.index}: {deleted:,} record{'s' * (deleted != 1)} deleted"]
    if report.unknown:
        lines.append(f"not in the index: {_named(report.unknown)}")
    if report.forgotten:
        lines.append(f"they come back if their source is indexed again: {_named(report.forgotten)}")
    write_lines(lines)
    return 0


def _ids_of(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from error
    return [line.strip() for line in lines if line.strip()]


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
