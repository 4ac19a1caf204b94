"""Read the records of a file of JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from bmretriever_integrations.corpus.json_lines import NotJson, read_values
from bmretriever_integrations.corpus.records import CorpusReport, Record, fault
from bmretriever_integrations.prompts import is_missing

NAMES = {"_id": ("_id", "id", "docid"), "title": ("title",), "text": ("text", "content", "contents")}
"""BEIR's name -> the names that are read, the first that is there: BEIR's, R2MED's, MedRAG's and Anserini's. MedRAG's
``contents`` is title and ``content`` together."""


def read_lines(stream: IO[bytes], name: str, report: CorpusReport) -> Iterator[Record]:
    """
    Read the records of one file.

    :param stream: the file's content from its start.
    :param name: the name of the file, for the report.
    :param report: counts the lines that are left out.
    """
    for number, entry in read_values(stream):
        record, reason = (None, entry.reason) if isinstance(entry, NotJson) else _record(entry)
        if record is not None:
            yield record
        else:
            report.skip(f"{name}:{number}", reason)


def _record(entry: Any) -> tuple[Record | None, str]:
    """Make the record of one line, or return None and the reason why there is none."""
    if not isinstance(entry, dict):
        return None, "not a JSON object"
    taken = {ours: next((name for name in names if name in entry), ours) for ours, names in NAMES.items()}
    values: dict[str, Any] = {ours: entry.get(name) for ours, name in taken.items()}
    if is_missing(values["title"]):
        values["title"] = ""
    if isinstance(values["_id"], int) and not isinstance(values["_id"], bool):
        values["_id"] = str(values["_id"])
    for ours, value in values.items():
        if ours != "title" and taken[ours] not in entry:
            return None, f"no {ours}"
        if not isinstance(value, str):
            return None, f"{taken[ours]} is not a string"
    record = Record(values["_id"], values["title"], values["text"])
    reason = fault(record)
    return (record, "") if reason is None else (None, reason)
