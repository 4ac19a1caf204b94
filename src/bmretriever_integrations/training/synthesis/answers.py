"""Answers -> validated fields, or the reason why an answer cannot be used, in words that help the generator."""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from bmretriever_integrations.prompts import lone_surrogate
from bmretriever_integrations.training.synthesis.generators import Answer

MAX_QUERY_WORDS = 80
"""Most words of a query; a description of a patient may be long."""
MIN_DOCUMENT_WORDS = 15
"""Fewest words of a document; shorter ones are mere headings."""
COPIED_WORDS = 6
"""A query counts as copied if it shares a run of at least so many words with the passage ..."""
COPIED_SHARE = 0.7
"""... and the run is at least this share of its words. Training on such queries teaches to match words."""

REFUSAL = re.compile(
    r"\b(as an? (ai|artificial intelligence|(large )?language model)\b|i('m| am) (sorry|unable|not able)\b"
    r"|i (cannot|can't|won't) (help|assist|provide|answer|fulfil|write|create)|i apologi[sz]e)",
    re.IGNORECASE,
)
POINTS_AT_THE_PASSAGE = re.compile(
    r"\b(the|this|that) (above )?(passage|text|article|paragraph|excerpt|study|paper|authors?|document)s?\b",
    re.IGNORECASE,
)
"""Words that point at the passage: a query must make sense to somebody who has not seen it."""
WORD = re.compile(r"\w+")


class Unusable(ValueError):
    """An answer that cannot become a pair."""

    def __init__(self, reason: str, advice: str) -> None:
        """
        :param reason: a few words, the same for all answers with this fault; the report counts by them.
        :param advice: the sentence that the generator is told when it is asked again.
        """
        super().__init__(reason)
        self.reason, self.advice = reason, advice


class QueryAnswer(BaseModel):
    """The answer of the instance level."""

    query: str = Field(min_length=3)


class TasksAnswer(BaseModel):
    """The first answer of the task level."""

    tasks: list[str] = Field(min_length=1)


class TripleAnswer(BaseModel):
    """The second answer of the task level; the field names are those of E5-Mistral."""

    user_query: str = Field(min_length=3)
    positive_document: str
    hard_negative_document: str


Form = TypeVar("Form", bound=BaseModel)


def parse(answer: Answer, form: type[Form]) -> Form:
    """
    Read the JSON object of an answer; other text and code fences around it are ignored.

    :param answer: what the generator said.
    :param form: the class with the required fields.
    :raises Unusable: if it is a refusal, contains no complete JSON object, or lacks a field.
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
    """Find the first JSON object of a text; line breaks inside strings are allowed."""
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
    Check that a query can be trained with.

    :param query: what the generator wrote.
    :param passage: the passage that the query is to find.
    :returns: the query, each run of white space replaced by one space.
    :raises Unusable: if it is a refusal, empty, too long, mentions "the passage", or is copied from it.
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
    Tell whether most of a query is one run of the passage's words.

    :param query: the query.
    :param passage: the passage.
    """
    asked, told = ([word.lower() for word in WORD.findall(text)] for text in (query, passage))
    longest = SequenceMatcher(None, asked, told, autojunk=False).find_longest_match().size
    return longest >= COPIED_WORDS and longest >= COPIED_SHARE * len(asked)


def checked_triple(answer: TripleAnswer) -> TripleAnswer:
    """
    Check that a query, its positive and its hard negative can be trained with.

    :param answer: the three texts.
    :returns: the texts, each run of white space replaced by one space.
    :raises Unusable: if the query or a document cannot be used, or the two documents are the same.
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
    if lone_surrogate(text) is not None:
        raise Unusable("not Unicode", "The text holds a lone surrogate, which is no character.")
    return " ".join(text.split())
