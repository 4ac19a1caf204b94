"""Checks what a caller asks of an index, before anything is loaded or read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal, get_args

import numpy as np

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.filters.filters import condition
from bmretriever_integrations.index.search.ranking import Wanted

Mode = Literal["hybrid", "vector", "text"]


def wanted_of(top_k: int, filters: object, include_retracted: bool) -> Wanted:
    """
    Bring the options of a search into the form that its steps take.

    :param top_k: how many hits.
    :param filters: conditions that every hit fulfils.
    :param include_retracted: show retracted papers.
    :raises ValueError: if one of them is out of its range.
    :raises TypeError: if the filters are of no kind that is known.
    """
    if top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    return Wanted(top_k, condition(filters), not include_retracted)


def check_kind(queries: Sequence[Any]) -> bool:
    """
    Tell questions from vectors.

    :param queries: all of one kind.
    :returns: whether they are questions in words.
    :raises ValueError: if there are both, or if a question is empty.
    """
    words = [query for query in queries if isinstance(query, str)]
    if words and len(words) < len(queries):
        raise ValueError("all queries must be questions, or all must be vectors; got both")
    for number, query in enumerate(words):
        if not query.strip():
            raise ValueError("the question is empty" if len(words) == 1 else f"question {number} is empty")
    return len(words) == len(queries)


def mode_of(mode: Mode | None, are_words: bool) -> Mode:
    """
    Choose and check the mode of a search.

    :param mode: None takes the most that the query allows.
    :param are_words: whether the query is a question in words.
    :raises ValueError: if there is no such mode, or if it needs words.
    """
    if mode is not None and mode not in get_args(Mode):
        raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}; got {mode!r}")
    if not are_words and mode in ("hybrid", "text"):
        raise ValueError(f"a vector has no words to search by: use mode 'vector', or a question for mode {mode!r}")
    return mode or ("hybrid" if are_words else "vector")


def checked_vector(query: Any, width: int) -> Vectors:
    """
    Check the vector of a question.

    :param query: an array or a list of numbers.
    :param width: the length of the vectors of the index.
    :returns: *Shape:* (width,) float32
    :raises ValueError: if it has another shape or is not finite.
    """
    vector = np.ascontiguousarray(query, np.float32)
    if vector.shape != (width,):
        raise ValueError(f"a vector for this index has shape ({width},), got {vector.shape}")
    if not np.isfinite(vector).all():
        raise ValueError("the vector of the question has values that are not finite")
    return vector


def check_known(ids: Sequence[str], known: Collection[str]) -> None:
    """
    Refuse ids that the index does not have.

    :param ids: the ids that are asked for.
    :param known: those that were found.
    :raises ValueError: naming the unknown ones.
    """
    if missing := sorted(set(ids).difference(known)):
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise ValueError(f"the index has no record {', '.join(map(repr, missing[:5]))}{more}")
