"""Read the JSON lines of a BEIR folder strictly: an index may leave a bad record out, but a score must not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bmretriever_integrations.corpus.json_lines import DAMAGE, NotJson, read_values, unpacked
from bmretriever_integrations.corpus.json_records import named_values
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.prompts import lone_surrogate


def read_records(path: Path) -> Iterator[Record]:
    """
    Stream the records of a .jsonl or .jsonl.gz file.

    :param path: the file. Each line is a JSON object with ``_id`` and ``text``, and perhaps ``title``, or with the names of
        another known layout (:data:`~bmretriever_integrations.corpus.json_records.NAMES`). Blank lines are skipped.
    :raises ValueError: at the first line that is not such an object, with file and line; or if the compressed file is damaged.
    """
    try:
        with path.open("rb") as file:
            for number, fields in read_values(unpacked(path, file)):
                yield _record(fields, f"{path}:{number}")
    except DAMAGE as error:
        raise ValueError(f"{path} is cut short or damaged ({error}): fetch it again") from error


def _record(fields: Any, where: str) -> Record:
    if isinstance(fields, NotJson):
        raise ValueError(f"{where}: no JSON object in UTF-8 ({fields.error})") from fields
    if not isinstance(fields, dict):
        raise ValueError(f"{where}: expected a JSON object with _id and text, got {type(fields).__name__}")
    values = named_values(fields)
    record = Record(values["_id"], values["title"], values["text"])
    for name, value in (("_id", record.id), ("title", record.title), ("text", record.text)):
        if not isinstance(value, str):
            raise ValueError(f"{where}: {name} must be a string, got {_short(value)}")
        if name == "_id" and not value:
            raise ValueError(f"{where}: _id is empty")
        if (half := lone_surrogate(value)) is not None:
            raise ValueError(f"{where}: {name} holds a lone surrogate at character {half}, which is no text")
    return record


def _short(value: Any) -> str:
    """Describe a value in a few words. A list or an object may be long, or nested more deeply than ``repr`` can follow."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__}"
    return "nothing" if value is None else repr(value)
