"""Read the records of a file of JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO, Any

from bmretriever_integrations.corpus.json_lines import NotJson, read_values
from bmretriever_integrations.corpus.json_metadata import metadata_of
from bmretriever_integrations.corpus.records import CorpusReport, Record, fault
from bmretriever_integrations.prompts import is_missing

NAMES = {"_id": ("_id", "id", "docid"), "title": ("title",), "text": ("text", "content", "contents")}
"""BEIR's name -> the names that are read, the first that is there: BEIR's, R2MED's, MedRAG's and Anserini's. MedRAG's
``contents`` is title and ``content`` together."""
LAYOUT = frozenset(name for names in NAMES.values() for name in names)


def read_lines(stream: IO[bytes], name: str, report: CorpusReport) -> Iterator[Record]:
    """
    Read the records of one file.

    :param stream: the file's content from its start.
    :param name: the name of the file, for the report.
    :param report: counts the lines that are left out.
    """
    for number, entry in read_values(stream):
        record, reason = (None, entry.reason) if isinstance(entry, NotJson) else record_of_values(entry)
        if record is not None:
            yield record
        else:
            report.skip(f"{name}:{number}", reason)


def named_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """
    Take id, title and text of a row of a known layout.

    :param row: the row.
    :returns: ``_id``, ``title`` and ``text``, each with the value that the row has under one of its :data:`NAMES`, or None. A
        whole number as id is made text, and a missing title "".
    """
    values = {ours: next((row[name] for name in names if name in row), None) for ours, names in NAMES.items()}
    values["_id"] = id_text(values["_id"])
    if is_missing(values["title"]):
        values["title"] = ""
    return values


def id_text(value: Any) -> Any:
    """
    Make an id text if it is a whole number.

    :param value: the value of any type; all others stay what they are.
    """
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def record_of_values(entry: Any) -> tuple[Record | None, str]:
    """
    Make the record of one line.

    :param entry: its value.
    :returns: the record, or None and the reason why there is none.
    """
    if not isinstance(entry, dict):
        return None, "not a JSON object"
    values = named_values(entry)
    for ours, value in values.items():
        if not isinstance(value, str):
            taken = next((name for name in NAMES[ours] if name in entry), None)
            return None, f"no {ours}" if taken is None else f"{taken} is not a string"
    rest = {key: value for key, value in entry.items() if key not in LAYOUT}
    record = Record(values["_id"], values["title"], values["text"], metadata_of(rest))
    reason = fault(record)
    return (record, "") if reason is None else (None, reason)
