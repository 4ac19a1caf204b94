"""Write hits in JSON and in JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bmretriever_integrations.hits.answers import Answer
from bmretriever_integrations.index import Hit
from bmretriever_integrations.terminal.characters import escaped


def as_json(answers: Sequence[Answer], several: bool) -> str:
    """
    Write a list of hits, or of questions with their hits. Nothing in the strings controls a terminal.

    :param answers: the questions and their hits; exactly one unless there may be several.
    :param several: whether there may be several questions, so that each hit must say to which it belongs.
    """
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


def as_json_lines(answers: Sequence[Answer]) -> str:
    """
    Write a line for each hit, with its question. Nothing in the strings controls a terminal.

    :param answers: the questions and their hits.
    """
    rows = [
        {"question_id": answer.question.id, "question": answer.question.text, **_plain(hit)}
        for answer in answers
        for hit in answer.hits
    ]
    return "".join(escaped(json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)


def _plain(hit: Hit) -> dict[str, Any]:
    return {**asdict(hit), "metadata": dict(hit.metadata)}
