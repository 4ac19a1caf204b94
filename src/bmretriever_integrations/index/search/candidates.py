"""The rows that LanceDB finds for one question: by vectors, exactly or with the approximate index, and by words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.search.full_text import full_text_query
from bmretriever_integrations.index.search.ranking import COLUMNS, Ranking, Wanted, inner_products, vectors_of
from bmretriever_integrations.index.search.snapshot import Snapshot

NARROW = 20_000
"""A filter that leaves so few rows is answered exactly: an approximate index would miss most of them."""
MOST_APPROXIMATE = 1_000
"""Longest list that the approximate index is asked for; its partitions may hold too few rows for a longer one."""
MOST_EQUAL = 4_000
"""Of more rows that fit the words equally well, as those that have a word of every title in common, LanceDB chooses."""
ROUNDING = 1e-6
"""Error of LanceDB's scores, relative to the lengths of both vectors, beside that of rounding the question to float16."""
Asked = Callable[[int], tuple[Ranking, float]]
"""Number of rows -> the rows in any order, and the most that any other row may score; minus infinity if there is no other."""


def nearest(snapshot: Snapshot, question: Vectors, wanted: Wanted, without: str | None = None) -> Ranking:
    """
    Find the rows whose vectors have the largest inner products with a question.

    LanceDB rounds the question to the type of the stored vectors, so it is asked for some rows more, and these are multiplied
    again.

    :param snapshot: what is searched.
    :param question: *Shape:* (width,) float32
    :param wanted: what is asked for.
    :param without: the id of a row that is no answer.
    """
    length = float(np.linalg.norm(question)) or 1.0
    unit = question / np.float32(length)
    stored = unit.astype(snapshot.manifest.vector_type).astype(np.float32)
    lost = float(np.linalg.norm(unit - stored)) + ROUNDING
    approximate = snapshot.tuned is not None and not is_narrow(snapshot, wanted)

    def ask(limit: int) -> tuple[Ranking, float]:
        by_index = approximate and limit <= MOST_APPROXIMATE
        rows = _vector_query(snapshot, unit, wanted, limit, by_index)
        if by_index and rows.num_rows < limit:
            rows = _vector_query(snapshot, unit, wanted, limit, False)
        vectors = vectors_of(rows, len(question))
        found = Ranking.of(rows, inner_products(vectors, question))
        if rows.num_rows < limit:
            return found, -np.inf
        longest = float(np.linalg.norm(vectors, axis=1).max())
        return found, length * (1 - rows.column("_distance")[-1].as_py() + lost * longest)

    return _settled(ask, wanted, without)


def best_words(snapshot: Snapshot, question: str, wanted: Wanted, without: str | None = None) -> Ranking:
    """
    Find the rows whose words fit a question best, by BM25.

    :param snapshot: what is searched.
    :param question: any text.
    :param wanted: what is asked for.
    :param without: the id of a row that is no answer.
    """

    def ask(limit: int) -> tuple[Ranking, float]:
        query = snapshot.table.search(full_text_query(question), query_type="fts")
        rows = _restricted(query, wanted, limit, "_score")
        scores = rows.column("_score").to_numpy()
        found = Ranking.of(rows, scores)
        if rows.num_rows < limit:
            return found, -np.inf
        return found, float(scores[-1] if limit < MOST_EQUAL else np.nextafter(scores[-1], -np.inf))

    return _settled(ask, wanted, without)


def is_narrow(snapshot: Snapshot, wanted: Wanted) -> bool:
    """
    Tell whether a condition leaves so few rows that they are searched exactly.

    :param snapshot: what is searched.
    :param wanted: what is asked for.
    """
    return wanted.condition is not None and snapshot.table.count_rows(wanted.condition) <= NARROW


def _settled(ask: Asked, wanted: Wanted, without: str | None) -> Ranking:
    """Ask for more and more rows, until no other one can be among those that are wanted."""
    limit = wanted.count + max(16, wanted.count // 4)
    while True:
        found, bound = ask(limit)
        ranking = found.settled(wanted, without)
        if bound == -np.inf or bound < ranking.floor(wanted):
            return ranking
        limit *= 4


def _vector_query(snapshot: Snapshot, unit: Vectors, wanted: Wanted, limit: int, by_index: bool) -> Any:
    query = snapshot.table.search(unit).distance_type("dot")
    if by_index and snapshot.tuned is not None:
        query = query.nprobes(snapshot.tuned.nprobes).refine_factor(snapshot.tuned.refine_factor)
    else:
        query = query.bypass_vector_index()
    return _restricted(query, wanted, limit, "vector", "_distance")


def _restricted(query: Any, wanted: Wanted, limit: int, *columns: str) -> Any:
    if wanted.condition is not None:
        query = query.where(wanted.condition)
    return query.select([*COLUMNS, *columns]).with_row_id(True).limit(limit).to_arrow()
