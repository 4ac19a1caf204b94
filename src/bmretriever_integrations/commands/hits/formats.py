"""Write hits for programs: JSON, JSON lines, CSV and RIS."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bmretriever_integrations.commands.hits.answers import Answer, address_of, date_of, fact
from bmretriever_integrations.commands.hits.ris import as_ris
from bmretriever_integrations.index import Hit
from bmretriever_integrations.terminal.characters import escaped, printable

FORMATS = ("table", "json", "jsonl", "csv", "ris")
COLUMNS = (
    *(
        "question_id",
        "question",
        "rank",
        "score",
        "id",
        "title",
        "date",
        "journal",
        "authors",
        "publication_types",
        "mesh",
    ),
    *("keywords", "languages", "doi", "pmcid", "retracted", "expression_of_concern", "url", "text"),
)
"""Columns of CSV."""
FORMULA = ("=", "+", "-", "@")
"""With what a cell begins that a spreadsheet takes for a formula."""


def write(answers: Sequence[Answer], form: str, several: bool) -> None:
    """
    Write answers to standard output in UTF-8, whatever the encoding of the console is.

    :param answers: the questions and their hits.
    :param form: one of :data:`FORMATS` but the table.
    :param several: whether the user may ask several questions at once, so that each hit must say to which it belongs.
    """
    if form == "json":
        text = _as_json(answers, several)
    elif form == "jsonl":
        text = _as_json_lines(answers)
    elif form == "csv":
        text = _as_csv(answers)
    else:
        text = as_ris(answers, several)
    sys.stdout.flush()
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:  # a stream of text alone, as in notebooks
        sys.stdout.write(text)
    else:
        binary.write(text.encode("utf-8"))
        binary.flush()


def _as_json(answers: Sequence[Answer], several: bool) -> str:
    """Write a list of hits, or of questions with their hits. Nothing in the strings controls a terminal."""
    content: list[Any] = [
        {
            "question_id": answer.question.id,
            "question": answer.question.text,
            "retracted_left_out": answer.hits.retracted_left_out,
            "hits": [_plain(hit) for hit in answer.hits],
        }
        for answer in answers
    ]
    shown = content if several else content[0]["hits"]
    return escaped(json.dumps(shown, indent=1, ensure_ascii=False)) + "\n"


def _as_json_lines(answers: Sequence[Answer]) -> str:
    rows = [
        {"question_id": answer.question.id, "question": answer.question.text, **_plain(hit)}
        for answer in answers
        for hit in answer.hits
    ]
    return "".join(escaped(json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)


def _plain(hit: Hit) -> dict[str, Any]:
    return {**asdict(hit), "metadata": dict(hit.metadata)}


def _as_csv(answers: Sequence[Answer]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for answer in answers:
        for hit in answer.hits:
            writer.writerow(_cells(answer, hit))
    return stream.getvalue()


def _cells(answer: Answer, hit: Hit) -> dict[str, object]:
    texts = {name: fact(hit, name) for name in COLUMNS}
    texts |= {"question_id": answer.question.id, "question": answer.question.text, "date": date_of(hit)}
    texts |= {"id": hit.id, "title": hit.title, "text": hit.text, "url": address_of(hit) or ""}
    cells: dict[str, object] = {name: _cell(text) for name, text in texts.items()}
    concern = isinstance(hit.metadata.get("expression_of_concern"), str)
    flags = {"retracted": hit.metadata.get("retracted") is True, "expression_of_concern": concern}
    return (
        cells | {name: "yes" if flag else "" for name, flag in flags.items()} | {"rank": hit.rank, "score": hit.score}
    )


def _cell(text: str) -> str:
    """Make a text one line, and put an apostrophe before one that a spreadsheet would take for a formula and compute."""
    line = printable(text)
    return f"'{line}" if line.lstrip().startswith(FORMULA) else line
