"""Answers to searches, as JSON and as files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.hits.answers import Answer, Question
from bmretriever_integrations.hits.csv_text import as_csv
from bmretriever_integrations.hits.facts import address_of, date_of, marks_of, pmid_of
from bmretriever_integrations.hits.remarks import Advice, remarks
from bmretriever_integrations.hits.ris import as_ris
from bmretriever_integrations.hits.snippets import snippet
from bmretriever_integrations.index import Hit
from bmretriever_integrations.serving.json_response import as_json
from bmretriever_integrations.serving.search import Found
from bmretriever_integrations.serving.search_forms import Format
from bmretriever_integrations.terminal.characters import escaped

ADVICE = Advice(hybrid="mode hybrid", include_retracted="include_retracted shows them")
RIS, CSV = "application/x-research-info-systems", "text/csv"
"""Types of content; RIS has none at IANA, and this is the one that Zotero takes."""
LEFT_OUT = "X-Retracted-Left-Out"
"""The header with which a file, which has no place for it, says how many retracted papers were left out of it."""
NOTES = "X-Notes"
"""The header with which a file gives the notes of an answer."""
NOTES_LENGTH = 2000
"""The most characters of that header: nginx takes 4 KB for all headers of an answer unless it is told otherwise."""
PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
"""Characters that stand in that header as they are; all others are percent-encoded."""
UNUSED = "the instruction was not used: mode text compares words alone"
# Whatever `escaped` would write otherwise lies beyond ASCII, but for DEL.
_TO_ESCAPE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]")


def response_of(found: Sequence[Found], form: Format, several: bool, instruction: bool = False) -> Response:
    """
    Write an answer.

    :param found: the answers to the questions; exactly one unless there may be several.
    :param form: how it is written.
    :param several: whether there may be several, so that each hit must say to which question it belongs.
    :param instruction: whether the request named one.
    """
    if form == "json":
        plain = [_answer(one, instruction) for one in found]
        return json_of({"answers": plain} if several else plain[0])
    answers = [Answer(Question(one.like or str(number), one.question), one.hits) for number, one in enumerate(found, 1)]
    text = as_ris(answers, several) if form == "ris" else as_csv(answers)
    headers = {
        "Content-Disposition": f'attachment; filename="hits.{form}"',
        LEFT_OUT: str(sum(one.hits.retracted_left_out for one in found)),
    }
    if notes := _notes_of_all(found, several, instruction):
        headers[NOTES] = notes
    return Response(text.encode(), 200, headers, f"{RIS if form == 'ris' else CSV}; charset=utf-8")


def json_of(content: Any) -> Response:
    """
    Answer in JSON in which no text of a record controls a terminal on which it is printed.

    :param content: plain values.
    """
    text = as_json(content).decode()
    return Response(escaped(text) if _TO_ESCAPE.search(text) else text, media_type="application/json")


def plain_record(record: Record) -> dict[str, Any]:
    """
    Return a record as plain values.

    :param record: the record.
    """
    return _plain(Hit(0, 0.0, record.id, record.title, record.text, record.metadata.facts()))


def _notes(found: Found, instruction: bool) -> list[str]:
    answer = Answer(Question("1", found.question), found.hits)
    unused = instruction and found.mode == "text"
    return remarks(answer, found.records, found.filtered, found.mode, ADVICE) + [UNUSED] * unused


def _notes_of_all(found: Sequence[Found], several: bool, instruction: bool) -> str:
    """Return the notes of all answers as the value of a header; a note that several have is there once."""
    questions: dict[str, list[str]] = {}
    for number, one in enumerate(found, 1):
        for note in _notes(one, instruction):
            questions.setdefault(note, []).append(str(number))
    told = list(questions)
    if several:
        told = [f"question{'s' * (len(of) > 1)} {', '.join(of)}: {note}" for note, of in questions.items()]
    short: list[str] = []
    for count, note in enumerate(told):
        short.append(quote(note, safe=PLAIN))
        if sum(map(len, short)) > NOTES_LENGTH:
            short[-1] = f"{len(told) - count:,} more, which format json has"
            break
    return "; ".join(short)


def _answer(found: Found, instruction: bool) -> dict[str, Any]:
    seconds = found.embedding_seconds
    return {
        "question": found.question,
        "mode": found.mode,
        "hits": [_plain_hit(hit, found.question) for hit in found.hits],
        "retracted_left_out": found.hits.retracted_left_out,
        "records": found.records,
        "timings": {
            "embedding_ms": None if seconds is None else _milliseconds(seconds),
            "search_ms": _milliseconds(found.search_seconds),
        },
        "notes": _notes(found, instruction),
    }


def _plain_hit(hit: Hit, question: str) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "score": hit.score,
        "from_vectors": hit.from_vectors,
        "from_words": hit.from_words,
        "passage": snippet(hit.text, question),
        **_plain(hit),
    }


def _plain(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.id,
        "title": hit.title,
        "text": hit.text,
        "pmid": pmid_of(hit),
        "url": address_of(hit),
        "date": date_of(hit),
        "marks": marks_of(hit),
        "metadata": dict(hit.metadata),
    }


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 3)
