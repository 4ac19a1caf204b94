"""Builds the approximate index and finds how little of it must be read for the recall that a user wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.checksums import check_files, update_checksums
from bmretriever_integrations.index.manifest import Manifest
from bmretriever_integrations.index.places.place import Place
from bmretriever_integrations.index.places.where import place_of
from bmretriever_integrations.index.recall import (
    Measured,
    Probe,
    exactly_answered,
    measure,
    sampled_questions,
    sampled_rows,
    worst_of,
)
from bmretriever_integrations.index.search.search_index import SearchIndex
from bmretriever_integrations.index.search.snapshot import Snapshots, Tuned
from bmretriever_integrations.index.table import open_table

FEWEST_ROWS = 20_000
"""A smaller table is searched exactly in some tens of milliseconds."""
SAMPLE = 300
"""Rows that serve as questions, and as many middles between two of them."""
SAMPLE_AFTER_UPDATE = 100
REFINE = (10, 20, 40)
PROBES = (5, 10, 20, 40, 80, 160, 320, 640)
LEAST_GAIN = 0.002
"""If twice the probes give no more, only a larger refinement can."""
ITERATIONS = 10
"""Of k-means; LanceDB takes 50 unless it is told."""
SPREAD_OF_LENGTHS = 0.1
"""Standard deviation of the vectors' lengths, divided by their mean, above which the approximate index misses too much."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Trial:
    """One way to search, and what it gave."""

    nprobes: int
    """Partitions that are looked through; 0 for the exact search."""
    refine_factor: int
    measured: Measured
    """Of the group of questions with the lower recall."""


@dataclass(frozen=True)
class TuneReport:
    """What :func:`tune_index` tried and chose."""

    chosen: Tuned
    trials: tuple[Trial, ...]
    """The exact search first, then in the order in which they were tried."""


def tune_index(
    folder: str | Path,
    recall: float = 0.95,
    *,
    questions: Sequence[str] = (),
    model: str | Path | None = None,
    device: str | None = None,
    say: Say = lambda _line: None,
) -> TuneReport:
    """
    Build an approximate index for large tables. Later searches use it, and multiply the best rows with their stored vectors.

    A sample of the rows serves as questions, each without itself as an answer, and so do the middles between two of them, which
    are as hard as people's questions. Searches in between are exact, also after a stop.

    :param folder: an index; a folder or a URL.
    :param recall: the share of the ten best records that a search shall find, 0.5 to below 1.
    :param questions: questions of the user, of which the same recall is asked.
    :param model: where the model is now, if there are questions; None takes the name in the manifest.
    :param device: the device for the model.
    :param say: is told what is going on.
    :raises ValueError: if the recall is out of its range, if the table is too small to gain anything, if the lengths of the
        vectors vary too much, or if the recall was not reached; then searches stay exact.
    :raises BlockingIOError: if another process writes to the index.
    """
    if not 0.5 <= recall < 1:
        raise ValueError(
            f"recall must be from 0.5 to below 1, got {recall}; a search of an index that is not tuned finds all"
        )
    place = place_of(folder)
    with SearchIndex.open(place.given, model=model, device=device) as index:  # refuses what is no index, or is damaged
        vectors = None
        if questions:
            with index.open_encoder() as encoder:
                vectors = encoder.encode_queries(list(questions))
    with place.explained(), place.only_writer():
        report = _tune(place, recall, vectors, say)
    if report is None:
        raise ValueError(
            f"no setting reached a recall of {recall:.1%}. Searches stay exact; ask for less with --recall (recall=)"
        )
    return report


def _tune(path: Place, recall: float, own: Vectors | None, say: Say) -> TuneReport | None:
    manifest, table = Snapshots(path).first, open_table(path)
    check_files(path, manifest)  # again, now that nobody writes
    _refuse_unfit(table, manifest)
    say(f"finding the exact answers to {2 * SAMPLE + (0 if own is None else len(own)):,} questions")
    probes = sampled_questions(table, manifest.width, SAMPLE)
    if own is not None:
        probes.append(exactly_answered(table, own, [None] * len(own)))
    _build(path, table, manifest, say)
    report = _choose(table, manifest, probes, recall, say)
    if report is None:
        drop_approximate_index(path, table, manifest)
    else:
        manifest.tuned = asdict(report.chosen)
    update_checksums(path, manifest)
    manifest.write(path)
    return report


def after_update(folder: Place, table: Any, manifest: Manifest, say: Say = lambda _line: None) -> None:
    """
    Measure the recall of a tuned index again after rows came or went, and train it anew if it fell below what was wanted.

    :param folder: the index; the caller is its only writer.
    :param table: the LanceDB table, already optimized.
    :param manifest: its manifest; ``tuned`` is changed. The caller writes it.
    :param say: is told what is going on.
    """
    if manifest.tuned is None:
        return
    tuned = Tuned(**manifest.tuned)
    probes = sampled_questions(table, manifest.width, SAMPLE_AFTER_UPDATE)
    found = worst_of([measure(table, manifest, tuned, probe) for probe in probes])
    if found.recall + 2 * found.doubt >= tuned.wanted:
        questions, rows = sum(len(probe.own) for probe in probes), table.count_rows()
        manifest.tuned = asdict(replace(tuned, recall=found.recall, questions=questions, rows=rows))
        return
    say(f"the recall fell to {found.recall:.1%}: training the approximate index anew")
    _build(folder, table, manifest, say)
    probes = sampled_questions(table, manifest.width, SAMPLE)
    report = _choose(table, manifest, probes, tuned.wanted, say)
    if report is None:
        drop_approximate_index(folder, table, manifest)
    else:
        manifest.tuned = asdict(report.chosen)


def drop_approximate_index(folder: Place, table: Any, manifest: Manifest) -> None:
    """
    Let searches be exact again.

    :param folder: the index; the caller is its only writer.
    :param table: the LanceDB table.
    :param manifest: its manifest, which is written if it is changed.
    """
    if manifest.tuned is not None:
        manifest.tuned = None
        manifest.write(folder)
    for name in [index.name for index in table.list_indices() if "vector" in index.columns]:
        table.drop_index(name)


def _refuse_unfit(table: Any, manifest: Manifest) -> None:
    rows = table.count_rows()
    if rows < FEWEST_ROWS:
        raise ValueError(
            f"the index has {rows:,} records: below {FEWEST_ROWS:,} the exact search is fast, and there is nothing to gain"
        )
    lengths = np.linalg.norm(sampled_rows(table, manifest.width, 5000)[0], axis=1)
    if (spread := float(lengths.std() / lengths.mean())) > SPREAD_OF_LENGTHS:
        raise ValueError(
            f"the lengths of the vectors vary by {spread:.0%}, and an approximate index for inner products misses too much where "
            f"they vary by more than {SPREAD_OF_LENGTHS:.0%}. Searches stay exact"
        )


def _build(path: Place, table: Any, manifest: Manifest, say: Say) -> None:
    from lancedb.index import IvfRq

    manifest.tuned = None  # first, so that no search reads the new index with the old choice
    manifest.write(path)
    say(f"training the approximate index over {table.count_rows():,} vectors")
    table.create_index("vector", config=IvfRq(distance_type="dot", max_iterations=ITERATIONS), replace=True)


def _choose(table: Any, manifest: Manifest, probes: Sequence[Probe], wanted: float, say: Say) -> TuneReport | None:
    """Return the fastest setting that reaches the wanted recall, or None."""
    few = replace(probes[0], vectors=probes[0].vectors[:9], own=probes[0].own[:9], answers=probes[0].answers[:9])
    trials = [Trial(0, 0, measure(table, manifest, None, few))]
    reached: list[tuple[float, Tuned]] = []
    questions, rows = sum(len(probe.own) for probe in probes), table.count_rows()
    for refine_factor in REFINE:
        before = 0.0
        for nprobes in PROBES:
            say(f"measuring {nprobes} probes, refinement {refine_factor}")
            tuned = Tuned(nprobes, refine_factor, wanted, 0.0, questions, rows)
            found = [measure(table, manifest, tuned, probe) for probe in probes]
            worst = worst_of(found)
            say(f"recall {worst.recall:.1%}, {worst.milliseconds:.1f} ms")
            trials.append(Trial(nprobes, refine_factor, worst))
            # the samples stand for all questions, so their own doubt counts; the user's questions are what they are
            if min(worst.recall, *(one.recall - 2 * one.doubt for one in found[:2])) >= wanted:
                reached.append((worst.milliseconds, replace(tuned, recall=worst.recall)))
                break
            if worst.recall < before + LEAST_GAIN:
                break
            before = worst.recall
    if not reached:
        return None
    return TuneReport(min(reached, key=lambda one: one[0])[1], tuple(trials))
