"""Answers -> validated fields, or the reason why one cannot be used, in words that the generator can act on."""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from bmretriever_integrations.training.synthesis.generators import Answer

MAX_QUERY_WORDS = 80
"""A patient description may be long; beyond this it is an essay."""
MIN_DOCUMENT_WORDS = 15
"""Below this it is a caption."""
COPIED_WORDS = 6
"""A run of so many words in passage and query..."""
COPIED_SHARE = 0.7
"""...that makes up so much of the query is a copied sentence: it teaches to match words."""

REFUSAL = re.compile(
    r"\b(as an? (ai|artificial intelligence|(large )?language model)\b|i('m| am) (sorry|unable|not able)\b"
    r"|i (cannot|can't|won't) (help|assist|provide|answer|fulfil|write|create)|i apologi[sz]e)",
    re.IGNORECASE,
)
POINTS_AT_THE_PASSAGE = re.compile(
    r"\b(the|this|that) (above )?(passage|text|article|paragraph|excerpt|study|paper|authors?|document)s?\b",
    re.IGNORECASE,
)
"""A query must make sense to somebody who has not seen the passage."""
WORD = re.compile(r"\w+")


class Unusable(ValueError):
    """An answer that becomes no pair."""

    def __init__(self, reason: str, advice: str) -> None:
        """
        :param reason: a few words, the same for all answers of the kind; the report counts them.
        :param advice: what the generator is told when it is asked again.
        """
        super().__init__(reason)
        self.reason, self.advice = reason, advice


class QueryAnswer(BaseModel):
    """Instance level."""

    query: str = Field(min_length=3)


class TasksAnswer(BaseModel):
    """Task level, first turn."""

    tasks: list[str] = Field(min_length=1)


class TripleAnswer(BaseModel):
    """Task level, second turn; the field names are E5-Mistral's."""

    user_query: str = Field(min_length=3)
    positive_document: str
    hard_negative_document: str


Form = TypeVar("Form", bound=BaseModel)


def parse(answer: Answer, form: type[Form]) -> Form:
    """
    Read the JSON object of an answer; talk and code fences around it are passed over.

    :param answer: what the generator said.
    :param form: the fields wanted.
    :raises Unusable: if it refuses, holds no whole JSON object, or lacks a field.
    """
    if not answer.text.strip():
        raise Unusable("empty answer", "Your answer was empty.")
    found = _object(answer.text)
    if found is None:
        if REFUSAL.search(answer.text):
            raise Unusable("refusal", "Do not speak of yourself; write the JSON object.")
        if answer.truncated:
            raise Unusable("truncated", "Your answer was cut off before the JSON object ended. Be shorter.")
        raise Unusable("no JSON object", "Your answer held no valid JSON object.")
    try:
        return form.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise Unusable(f"field {first['loc'][0]}: {first['type']}", f"Field {place}: {first['msg']}.") from error


def _object(text: str) -> dict[str, Any] | None:
    """The first JSON object of a text; line breaks inside strings are let pass."""
    reader = json.JSONDecoder(strict=False)
    for start in (match.start() for match in re.finditer(r"\{", text)):
        try:
            found, _ = reader.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return None


def checked_query(query: str, passage: str) -> str:
    """
    Tell whether a query is fit to train with.

    :param query: what was written.
    :param passage: the passage that it is to find.
    :returns: the query with its white space collapsed.
    :raises Unusable: if it is a refusal, empty, too long, speaks of "the passage", or is copied from it.
    """
    query = _one_line(query)
    words = WORD.findall(query)
    if REFUSAL.search(query):
        raise Unusable("refusal", "Do not speak of yourself; write the query.")
    if len("".join(words)) < 3 or len(words) > MAX_QUERY_WORDS:
        reason = "query too long" if words else "query without words"
        raise Unusable(reason, f"The query must have 1 to {MAX_QUERY_WORDS} words.")
    if POINTS_AT_THE_PASSAGE.search(query) and not POINTS_AT_THE_PASSAGE.search(passage):
        raise Unusable(
            "query speaks of the passage", "The query must make sense to somebody who has not seen the passage."
        )
    if is_copied(query, passage):
        raise Unusable("query copied", "The query copies a sentence of the passage. Use your own words.")
    return query


def is_copied(query: str, passage: str) -> bool:
    """
    Tell whether most of a query is one run of words of the passage.

    :param query: the query.
    :param passage: the passage.
    """
    asked, told = ([word.lower() for word in WORD.findall(text)] for text in (query, passage))
    longest = SequenceMatcher(None, asked, told, autojunk=False).find_longest_match().size
    return longest >= COPIED_WORDS and longest >= COPIED_SHARE * len(asked)


def checked_triple(answer: TripleAnswer) -> TripleAnswer:
    """
    Tell whether a query, its positive and its hard negative are fit to train with.

    :param answer: the three texts.
    :returns: them with their white space collapsed.
    :raises Unusable: if the query or a document is not, or the two documents are one.
    """
    positive, negative = (
        _document(answer.positive_document, "positive_document"),
        _document(answer.hard_negative_document, "hard_negative_document"),
    )
    if WORD.findall(positive.lower()) == WORD.findall(negative.lower()):
        raise Unusable(
            "negative is the positive", "The two documents must differ: the second does not answer the query."
        )
    query = checked_query(answer.user_query, positive)
    return TripleAnswer(user_query=query, positive_document=positive, hard_negative_document=negative)


def _document(text: str, field: str) -> str:
    text = _one_line(text)
    if REFUSAL.search(text):
        raise Unusable("refusal", f"Do not speak of yourself in {field}.")
    if len(WORD.findall(text)) < MIN_DOCUMENT_WORDS:
        raise Unusable(f"{field} too short", f"{field} must have {MIN_DOCUMENT_WORDS} words or more.")
    return text


def _one_line(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Unusable("not Unicode", "The text holds a lone surrogate, which is no character.") from error
    return " ".join(text.split())
