"""Write hits in CSV, for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from bmretriever_integrations.hits.answers import Answer
from bmretriever_integrations.hits.facts import address_of, date_of, fact
from bmretriever_integrations.index import Hit
from bmretriever_integrations.terminal.characters import printable

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
"""The heading."""
FORMULA = ("=", "+", "-", "@")
"""With what a cell begins that a spreadsheet takes for a formula."""


def as_csv(answers: Sequence[Answer]) -> str:
    """
    Write a line for each hit under one heading.

    :param answers: the questions and their hits.
    :returns: the lines. No text of a record can begin a line of its own or be computed by a spreadsheet.
    """
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
