"""One row of a source under our names, and how its values become texts, passages and scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bmretriever_integrations.corpus.json_records import id_text
from bmretriever_integrations.prompts import is_missing, lone_surrogate


@dataclass(frozen=True, slots=True)
class Row:
    """One document, or one labelled row."""

    texts: Mapping[str, str]
    """Our name (id, title, text, query, instruction, task, source, licence) -> text."""
    positives: tuple[str, ...] = ()
    """Passages that answer the query, each with its title before it; none of a document."""
    negatives: tuple[str, ...] = ()
    """Hard negatives that the source gives, in its order."""
    positive_scores: tuple[float, ...] = ()
    """A score for each positive, or none."""
    negative_scores: tuple[float, ...] = ()
    """A score for each negative, or none."""


def text_of(value: Any, name: str, is_id: bool = False) -> str:
    """
    Turn a value into one text.

    :param value: a text, a list of one, a mapping with ``text`` and perhaps ``title``, a missing value ("" then), or a whole
        number if it is an id.
    :param name: file, line and column; begins an error.
    :param is_id: whether the value is an id.
    :raises ValueError: if it is anything else, or holds half a character.
    """
    if isinstance(value, list) and len(value) > 1:
        raise ValueError(f"{name} must be one text, got a list of {len(value)}")
    inner = value[0] if isinstance(value, list) and value else value
    if is_missing(inner):
        text: Any = ""
    elif isinstance(inner, Mapping):
        title = inner.get("title")
        text = inner.get("text")
        if isinstance(text, str) and not is_missing(title):
            text = f"{title} {text}".strip() if isinstance(title, str) else None
    else:
        text = id_text(inner) if is_id else inner
    if not isinstance(text, str):
        raise ValueError(f"{name} must be text, got {type(value).__name__}")
    if lone_surrogate(text) is not None:
        raise ValueError(f"{name} holds a lone surrogate, which is no character")
    return text


def passages_of_value(value: Any, name: str) -> tuple[str, ...]:
    """
    Turn a value into passages.

    :param value: one passage or a list of them, each as :func:`text_of` takes it.
    :param name: file, line and column; begins an error.
    :returns: the passages in their order, empty ones included: scores are given by place.
    :raises ValueError: if one of them is no text.
    """
    if is_missing(value):
        return ()
    if not isinstance(value, list):
        return (text_of(value, name),)
    if any(isinstance(entry, list) for entry in value):
        raise ValueError(f"{name} must be texts, got a list of lists")
    return tuple(text_of(entry, f"{name}[{place}]") for place, entry in enumerate(value))


def scores_of(value: Any, name: str, count: int) -> tuple[float, ...]:
    """
    Turn a value into scores.

    :param value: a number or a list of numbers; a missing value gives none.
    :param name: file, line and column; begins an error.
    :param count: number of passages that the scores belong to.
    :raises ValueError: if one of them is no finite number, or there are more or fewer than passages.
    """
    if is_missing(value):
        return ()
    scores = value if isinstance(value, list) else [value]
    for score in scores:
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
            given = score if isinstance(score, float) else type(score).__name__  # a nested list may be too deep to show
            raise ValueError(f"{name} must be finite numbers, got {given}")
    if len(scores) not in (0, count):
        raise ValueError(f"{name} must have one score for each of {count} passages, or none, got {len(scores)}")
    return tuple(map(float, scores))
