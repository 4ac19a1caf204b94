"""Questions to hits, in one snapshot of an index."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.hits import Hit, Hits
from bmretriever_integrations.index.schema import RECORD, record_of
from bmretriever_integrations.index.search.asked import Mode
from bmretriever_integrations.index.search.candidates import best_words, is_narrow, nearest
from bmretriever_integrations.index.search.exact import best_rows, questions_at_once
from bmretriever_integrations.index.search.fusion import CANDIDATES
from bmretriever_integrations.index.search.hybrid import fused
from bmretriever_integrations.index.search.ranking import Ranking, Wanted
from bmretriever_integrations.index.search.snapshot import Snapshot

THREADS = 4
"""Questions that are looked up at the same time."""


@dataclass(frozen=True)
class Question:
    """A question in the forms that the modes need."""

    words: str = ""
    vector: Vectors | None = None
    """*Shape:* (width,) float32"""
    without: str | None = None
    """The id of a record that is no answer."""


def answer(snapshot: Snapshot, questions: Sequence[Question], mode: Mode, wanted: Wanted) -> Iterator[Hits]:
    """
    Answer questions.

    :param snapshot: what is searched.
    :param questions: with words for the modes hybrid and text, with vectors for hybrid and vector.
    :param mode: what is compared.
    :param wanted: what is asked for.
    :returns: the hits of each question, in order.
    """
    at_once = questions_at_once(wanted.count)
    for start in range(0, len(questions), at_once):
        begun = time.perf_counter()
        found = _rankings(snapshot, questions[start : start + at_once], mode, wanted)
        hits = _hits(snapshot, found)
        for one in hits:
            one.seconds = (time.perf_counter() - begun) / len(hits)
        yield from hits


def _rankings(
    snapshot: Snapshot, questions: Sequence[Question], mode: Mode, wanted: Wanted
) -> list[tuple[Ranking, int]]:
    """Return the shown rows of each question, and the number of the hidden ones among them."""
    if mode == "hybrid":
        more = replace(wanted, count=max(wanted.count, CANDIDATES))
        with ThreadPoolExecutor(1) as other:
            by_words = other.submit(_by_words, snapshot, questions, more)
            by_vector = _by_vector(snapshot, questions, more)
            pairs = zip(by_vector, by_words.result(), strict=True)
        return [fused(*pair, wanted) for pair in pairs]
    found = (_by_words if mode == "text" else _by_vector)(snapshot, questions, wanted)
    return [(one.take(one.shown(wanted)), int((~one.shown(wanted)).sum())) for one in found]


def _by_words(snapshot: Snapshot, questions: Sequence[Question], wanted: Wanted) -> list[Ranking]:
    def find(question: Question) -> Ranking:
        return best_words(snapshot, question.words, wanted, question.without)

    if len(questions) == 1:
        return [find(questions[0])]
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(find, questions))


def _by_vector(snapshot: Snapshot, questions: Sequence[Question], wanted: Wanted) -> list[Ranking]:
    def find(question: Question) -> Ranking:
        assert question.vector is not None
        return nearest(snapshot, question.vector, wanted, question.without)

    if len(questions) == 1:
        return [find(questions[0])]
    if snapshot.tuned is None or is_narrow(snapshot, wanted):
        vectors = np.stack([question.vector for question in questions if question.vector is not None])
        return best_rows(snapshot.table, vectors, wanted, [question.without for question in questions])
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(find, questions))


def _hits(snapshot: Snapshot, found: Sequence[tuple[Ranking, int]]) -> list[Hits]:
    """Read the records of all hits at once."""
    wanted = np.unique(np.concatenate([ranking.rows for ranking, _ in found])).tolist()
    rows = snapshot.table.take_row_ids(wanted).select(list(RECORD)).to_arrow().to_pylist() if wanted else []
    records = {row["id"]: record_of(row) for row in rows}
    return [Hits(_in_order(ranking, records), retracted_left_out=left_out) for ranking, left_out in found]


def _in_order(ranking: Ranking, records: Mapping[str, Record]) -> Iterator[Hit]:
    columns = zip(ranking.ids, ranking.scores.tolist(), ranking.parts.tolist(), strict=True)
    for rank, (key, score, parts) in enumerate(columns, 1):
        record = records[key]
        yield Hit(rank, score, key, record.title, record.text, record.metadata.facts(), *parts)
