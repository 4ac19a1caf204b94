"""Questions from a file or a pipe: lines, JSON lines, and what is no list of questions."""

from __future__ import annotations

import json

import pytest

from bmretriever_integrations.commands.hits.questions import parse_questions, read_questions
from bmretriever_integrations.hits.answers import Question


def test_questions_are_read_from_lines_and_from_json_lines(tmp_path) -> None:
    assert parse_questions("\ufeffdoes α help\r\n\n  is it safe \n".encode(), "f") == [
        Question("1", "does α help"),
        Question("3", "is it safe"),
    ]
    rows = [{"_id": "q7", "text": "a"}, {"id": 8, "query": "b"}, {"text": "c"}]
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read_questions(tmp_path / "queries.jsonl") == [Question("q7", "a"), Question("8", "b"), Question("3", "c")]


WRONG = {
    b"": "f holds no question",
    b"\n \n": "f holds no question",
    b"a\n\xff\n": "f:2 is not UTF-8",
    b'{"text": "a"}\nb\n': "f:2: not JSON",
    b'{"text": " "}\n': "f:1 is no question",
    b'{"_id": "1", "text": "a"}\n{"_id": 1, "text": "b"}\n': "two questions have the id '1'",
}


@pytest.mark.parametrize("content", WRONG)
def test_what_is_no_list_of_questions_is_named(content: bytes) -> None:
    with pytest.raises(ValueError, match=WRONG[content]):
        parse_questions(content, "f")
