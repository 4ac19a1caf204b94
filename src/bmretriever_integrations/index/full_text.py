"""How the words of records and questions are prepared for the full-text side of a search."""

from __future__ import annotations

from typing import Any


def words_of(title: str, text: str) -> str:
    """
    Return what a record is found by in the full-text index.

    :param title: the record's title.
    :param text: the record's text.
    """
    return f"{title} {text}".strip()


def full_text_index() -> Any:
    """Return LanceDB's configuration of the index on the column ``words``."""
    from lancedb.index import FTS

    return FTS()


def full_text_query(question: str) -> Any:
    """
    Return LanceDB's query for a question in plain words; nothing in it is taken for an operator.

    :param question: any text.
    """
    from lancedb.query import MatchQuery

    return MatchQuery(question, "words")
