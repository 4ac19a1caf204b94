"""Read the questions of a file or of standard input."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bmretriever_integrations.corpus.json_lines import NotJson, read_values, unpacked
from bmretriever_integrations.hits.answers import Question

IDS = ("_id", "id", "qid")
TEXTS = ("text", "question", "query")


def read_questions(path: Path) -> list[Question]:
    """
    Read a file of questions; it may be compressed, with a name that ends in ``.gz``.

    :param path: the file.
    :returns: see :func:`parse_questions`.
    :raises FileNotFoundError: if it is missing.
    :raises ValueError: see :func:`parse_questions`.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file with one question a line, or with JSON lines")
    with path.open("rb") as file:
        return parse_questions(unpacked(path, file).read(), path.name)


def parse_questions(content: bytes, name: str) -> list[Question]:
    """
    Read questions, one a line. If the first line begins with a brace, they are JSON lines as BEIR's ``queries.jsonl`` has them.

    :param content: the content of the file. Empty lines are skipped.
    :param name: the name of the file, for messages.
    :returns: the questions. The id of a question is that which its line gives, else the number of its line.
    :raises ValueError: if there is no question, if a line cannot be read, or if an id is given twice; says which.
    """
    found = list(
        _of_json(content, name) if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else _plain(content, name)
    )
    if not found:
        raise ValueError(f"{name} holds no question: write one a line")
    seen: set[str] = set()
    for question in found:
        if question.id in seen:
            raise ValueError(f"{name}: two questions have the id {question.id!r}; their hits could not be told apart")
        seen.add(question.id)
    return found


def _plain(content: bytes, name: str) -> Iterator[Question]:
    for number, line in enumerate(content.split(b"\n"), 1):
        try:
            text = line.decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise ValueError(f"{name}:{number} is not UTF-8: {error}") from error
        if text:
            yield Question(str(number), text)


def _of_json(content: bytes, name: str) -> Iterator[Question]:
    for number, value in read_values(io.BytesIO(content)):
        if isinstance(value, NotJson):
            raise ValueError(f"{name}:{number}: {value}") from value.error
        text = _first(value, TEXTS) if isinstance(value, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f'{name}:{number} is no question: write {{"_id": "q1", "text": "..."}}')
        given = _first(value, IDS)
        yield Question(str(number if given is None else given), text.strip())


def _first(value: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)
