"""Measures how many of the exact hits an approximate index finds, and how fast."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.manifest import Manifest
from bmretriever_integrations.index.search.candidates import nearest
from bmretriever_integrations.index.search.exact import best_rows, questions_at_once
from bmretriever_integrations.index.search.ranking import Wanted, vectors_of
from bmretriever_integrations.index.search.snapshot import Snapshot, Tuned

TOP = Wanted(10, hide_retracted=False)
"""Recall is that of the ten best hits, as is usual."""


@dataclass(frozen=True)
class Probe:
    """Questions with their exact answers."""

    vectors: Vectors
    """*Shape:* (questions, width) float32"""
    own: Sequence[str | None]
    """The id of the row that a question was made of, which is no answer to it."""
    answers: Sequence[frozenset[str]]
    """The ids of the ten best rows of each."""


@dataclass(frozen=True)
class Measured:
    """What one way to search gave."""

    recall: float
    """Mean share of the ten best rows that were found."""
    doubt: float
    """Standard error of ``recall``: how far another sample of questions may be off."""
    milliseconds: float
    """Median time of a question."""


def sampled_questions(table: Any, width: int, count: int) -> list[Probe]:
    """
    Make questions of a sample of rows and answer them exactly; the same rows of the same table give the same sample.

    A row is an easy question, because records that are almost like it lie beside it: over a million passages, five partitions
    held 99.6 % of the answers to rows, and 85 % of those to people's questions. The middle between two rows is as hard as a
    question of people's (76 %), so both kinds are asked.

    :param table: the LanceDB table.
    :param width: the length of a vector.
    :param count: how many of each kind, or as many as the table has rows.
    :returns: the rows, and the middles between two of them.
    """
    vectors, own = sampled_rows(table, width, count)
    middles = (vectors + np.roll(vectors, 1, axis=0)) * np.float32(0.5)
    return [exactly_answered(table, vectors, own), exactly_answered(table, middles, [None] * len(middles))]


def sampled_rows(table: Any, width: int, count: int) -> tuple[Vectors, list[str | None]]:
    """
    Read a sample of rows.

    :param table: the LanceDB table.
    :param width: the length of a vector.
    :param count: how many, or all of a smaller table.
    :returns: their vectors (*Shape:* (rows, width) float32) and ids, in the table's order.
    """
    rows = table.count_rows()
    places = np.sort(np.random.default_rng(0).choice(rows, min(count, rows), replace=False)).tolist()
    found = table.take_offsets(places).select(["id", "vector"]).to_arrow()
    return vectors_of(found, width), found.column("id").to_pylist()


def exactly_answered(table: Any, vectors: Vectors, own: Sequence[str | None]) -> Probe:
    """
    Find the exact answers to questions.

    :param table: the LanceDB table.
    :param vectors: the questions. *Shape:* (questions, width) float32
    :param own: for each question, the id of a row that is no answer to it.
    """
    answers: list[frozenset[str]] = []
    at_once = questions_at_once(TOP.count)
    for start in range(0, len(vectors), at_once):
        block = slice(start, start + at_once)
        answers += [frozenset(one.ids) for one in best_rows(table, vectors[block], TOP, own[block])]
    return Probe(vectors, own, answers)


def worst_of(found: Sequence[Measured]) -> Measured:
    """
    Return the measurement of the questions of which the least was found.

    :param found: one for each kind of questions.
    """
    return min(found, key=lambda one: one.recall)


def measure(table: Any, manifest: Manifest, tuned: Tuned | None, probe: Probe) -> Measured:
    """
    Answer questions and compare the hits with the exact ones.

    :param table: the LanceDB table.
    :param manifest: its manifest.
    :param tuned: how the approximate index is searched; None for exactly.
    :param probe: the questions.
    """
    snapshot = Snapshot(table, manifest, tuned)
    shares, seconds = [], []
    for vector, own, right in zip(probe.vectors, probe.own, probe.answers, strict=True):
        begun = time.perf_counter()
        found = nearest(snapshot, vector, TOP, own)
        seconds.append(time.perf_counter() - begun)
        shares.append(len(right.intersection(found.ids)) / max(len(right), 1))
    doubt = float(np.std(shares) / np.sqrt(len(shares)))
    return Measured(float(np.mean(shares)), doubt, 1000 * median(seconds))
