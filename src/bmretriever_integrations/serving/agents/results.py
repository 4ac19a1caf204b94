"""What the tools answer, as data: the few facts of each record that a model needs to choose and to cite it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from bmretriever_integrations.hits.answers import Answer, Question
from bmretriever_integrations.hits.facts import address_of, date_of, fact, marks_of, pmid_of
from bmretriever_integrations.hits.remarks import Advice, remarks
from bmretriever_integrations.hits.snippets import snippet
from bmretriever_integrations.index import Hit
from bmretriever_integrations.serving.errors import ApiError
from bmretriever_integrations.terminal.characters import printable, printable_lines

if TYPE_CHECKING:
    from bmretriever_integrations.corpus.records import Record
    from bmretriever_integrations.serving.search import Found

ADVICE = Advice(hybrid="mode hybrid", include_retracted="include_retracted=true shows them")
TITLE_CHARACTERS = 400
"""The most characters of a title or a journal in a list; PubMed's longest titles of papers have about as many."""
ID_CHARACTERS = 2_000
"""The most characters of an id in a list. One that is cut is not found any more; longer ones would fill a model's memory."""
PART_CHARACTERS = 20_000
"""Characters of a text that one answer holds, about 5,000 tokens. An abstract has 2,000."""
FACT_CHARACTERS = 2_000
"""The most characters of a fact in JSON; a paper may have thousands of authors."""
FACTS = 100
"""The most facts of a record that are told."""


class FoundRecord(BaseModel):
    """A record in a list."""

    rank: int
    id: str = Field(description="What get_record and find_similar take.")
    title: str
    journal: str
    date: str = Field(description="2015, 2015-03 or 2015-03-14; empty if it is not known.")
    pmid: str | None
    url: str | None
    warnings: list[str] = Field(description="That the paper was retracted, or that there is an expression of concern.")
    passage: str = Field(description="The part of the text that shares most words with the question.")
    score: float


class FoundRecords(BaseModel):
    """A list of records."""

    records: list[FoundRecord]
    records_in_index: int
    retracted_left_out: int = Field(description="Retracted papers that would stand in the list.")
    notes: list[str]


class WholeRecord(BaseModel):
    """A record."""

    id: str
    title: str
    text: str
    text_characters: int = Field(description="Of the whole text.")
    continues_at: int | None = Field(description="The next start, if the text goes on after this part.")
    pmid: str | None
    url: str | None
    date: str
    warnings: list[str]
    metadata: dict[str, Any]


def found_records(found: Found) -> FoundRecords:
    """
    Return the answer to a question.

    :param found: what was found. No text of a record keeps a character that controls a terminal or begins a line.
    """
    answer = Answer(Question("1", found.question), found.hits)
    return FoundRecords(
        records=[_in_list(hit, found.question) for hit in found.hits],
        records_in_index=found.records,
        retracted_left_out=found.hits.retracted_left_out,
        notes=remarks(answer, found.records, found.filtered, found.mode, ADVICE),
    )


def whole_record(record: Record, start: int) -> WholeRecord:
    """
    Return a record.

    :param record: the record.
    :param start: the character of its text at which to begin.
    :raises ApiError: if the text ends before.
    """
    hit = Hit(0, 0.0, record.id, record.title, record.text, record.metadata.facts())
    text = printable_lines(record.text)
    if start and start >= len(text):
        raise ApiError(400, f"start is {start:,}, and the text has {len(text):,} characters", param="start")
    end = start + PART_CHARACTERS
    return WholeRecord(
        id=record.id,
        title=_cut(printable(record.title), PART_CHARACTERS),
        text=text[start:end],
        text_characters=len(text),
        continues_at=end if end < len(text) else None,
        pmid=pmid_of(hit),
        url=address_of(hit),
        date=date_of(hit),
        warnings=_warnings(hit),
        metadata=_facts(hit.metadata),
    )


def _in_list(hit: Hit, question: str) -> FoundRecord:
    return FoundRecord(
        rank=hit.rank,
        id=_cut(hit.id, ID_CHARACTERS),
        title=_cut(printable(hit.title)),
        journal=_cut(printable(fact(hit, "journal"))),
        date=date_of(hit),
        pmid=pmid_of(hit),
        url=address_of(hit),
        warnings=_warnings(hit),
        passage=printable(snippet(hit.text, question)),
        score=round(hit.score, 4),
    )


def _warnings(hit: Hit) -> list[str]:
    return [_cut(printable(mark)) for mark in marks_of(hit)]


def _facts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a record, long ones cut, and say so where that was done."""
    told = {printable(name)[:TITLE_CHARACTERS]: _fact(value) for name, value in list(metadata.items())[:FACTS]}
    if len(metadata) > FACTS:
        told["..."] = f"{len(metadata) - FACTS:,} more facts"
    return told


def _fact(value: Any) -> Any:
    written = json.dumps(value, ensure_ascii=False)
    if len(written) <= FACT_CHARACTERS:
        return _printable(value)
    if not isinstance(value, list):
        return _cut(printable(value if isinstance(value, str) else written), FACT_CHARACTERS)
    kept, left = [], FACT_CHARACTERS
    for one in value:
        left -= len(json.dumps(one, ensure_ascii=False)) + 2
        if left < 0:
            break
        kept.append(_printable(one))
    return [*kept, f"... {len(value) - len(kept):,} more"]


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(name)): _printable(one) for name, one in value.items()}
    return [_printable(one) for one in value] if isinstance(value, list | tuple) else value


def _cut(text: str, most: int = TITLE_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[:most]} ..."
