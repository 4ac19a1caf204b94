"""Checks what a caller asks of an index, before anything is loaded or read."""

from __future__ import annotations

import operator
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

import numpy as np

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.filters.filters import condition
from bmretriever_integrations.index.search.ranking import Wanted

Mode = Literal["hybrid", "vector", "text"]
MOST_HITS = 1 << 31
"""More rows than a table has are all of them, and LanceDB counts no further than about this far."""


def wanted_of(top_k: int, filters: object, include_retracted: bool) -> Wanted:
    """
    Bring the options of a search into the form that its steps take.

    :param top_k: how many hits.
    :param filters: conditions that every hit fulfils.
    :param include_retracted: show retracted papers.
    :raises ValueError: if one of them is out of its range.
    :raises TypeError: if the filters are of no kind that is known.
    """
    try:
        count = operator.index(top_k)
    except TypeError:
        raise ValueError(f"top_k must be a whole number, got {top_k!r:.100}") from None
    if count < 1:
        raise ValueError(f"top_k must be at least 1, got {count}")
    return Wanted(min(count, MOST_HITS), condition(filters), not include_retracted)


def check_kind(queries: Sequence[Any] | Vectors) -> bool:
    """
    Tell questions from vectors.

    :param queries: all of one kind.
    :returns: whether they are questions in words.
    :raises ValueError: if there are both, if a question is empty, or if it is one question and no list of them.
    """
    if isinstance(queries, str):
        raise ValueError(f"search_many takes a list of questions; give [question], or use search. Got {queries!r:.100}")
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
    try:
        vector = np.ascontiguousarray(query, np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"a question is a text, or a vector of numbers; got {query!r:.100}") from None
    if vector.shape != (width,):
        raise ValueError(f"a vector for this index has shape ({width},), got {vector.shape}")
    if not np.isfinite(vector).all():
        raise ValueError("the vector of the question has values that are not finite")
    return vector


def checked_ids(ids: Sequence[Any]) -> Sequence[str]:
    """
    Refuse what is no list of ids.

    :param ids: the ids that are asked for.
    :raises ValueError: if it is one text, or if one of them is no text.
    """
    if isinstance(ids, str) or not all(isinstance(one, str) for one in ids):
        raise ValueError(f"ids are texts, and several are a list of texts, e.g. ['33419956']; got {ids!r:.100}")
    return ids


@contextmanager
def explained(filters: object) -> Iterator[None]:
    """
    Name the user's own condition in SQL where LanceDB cannot compute it.

    :param filters: conditions that every hit fulfils.
    :raises ValueError: with the condition and LanceDB's reason, without the places in its code.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:
        sql = filters if isinstance(filters, str) else getattr(filters, "where", None)
        found = re.match(r"(?:Invalid input, |lance error: )(.*?)(?:, \S+\.rs:\d+|$)", " ".join(str(error).split()))
        if sql is None or found is None:
            raise
        raise ValueError(
            f"LanceDB cannot filter by {sql!r:.200}: {found[1]:.600}. docs/filters.md lists the columns and their types"
        ) from error


class UnknownRecord(ValueError):
    """The index has no record of an id."""


def check_known(ids: Sequence[str], known: Collection[str]) -> None:
    """
    Refuse ids that the index does not have.

    :param ids: the ids that are asked for.
    :param known: those that were found.
    :raises UnknownRecord: naming the unknown ones.
    """
    if missing := sorted(set(ids).difference(known)):
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise UnknownRecord(f"the index has no record {', '.join(map(repr, missing[:5]))}{more}")
