"""Measure the index's hybrid search: a model's vectors and full text, fused. The documents are embedded once for both systems."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder import BMRetrieverEncoder
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.evaluation.systems.comparison import Ranked
from bmretriever_integrations.evaluation.systems.dense import DenseRetriever
from bmretriever_integrations.evaluation.systems.ranking import Positions
from bmretriever_integrations.evaluation.tasks.retrieval import NO_DOCUMENT, Task
from bmretriever_integrations.evaluation.tasks.similarity import AnyTask
from bmretriever_integrations.index.hits import Hits
from bmretriever_integrations.index.ingest.comparing import Choice
from bmretriever_integrations.index.ingest.engines import OneEngine
from bmretriever_integrations.index.ingest.known import known_of
from bmretriever_integrations.index.ingest.writing import Writer
from bmretriever_integrations.index.manifest import Manifest, SourceBegun
from bmretriever_integrations.index.search.answers import Question, answer
from bmretriever_integrations.index.search.fusion import CANDIDATES, SHARE
from bmretriever_integrations.index.search.ranking import Wanted
from bmretriever_integrations.index.search.snapshot import Snapshot, Snapshots
from bmretriever_integrations.index.table import ids_condition
from bmretriever_integrations.versions import VERSION, versions_of


class TaskIndex:
    """The index of a task's documents, filled as they are embedded."""

    def __init__(self, folder: Path, encoder: BMRetrieverEncoder) -> None:
        """
        :param folder: an empty folder.
        :param encoder: the engine that makes the vectors.
        """
        engine = OneEngine(encoder)
        self._folder = folder
        self._writer = Writer(folder, Manifest(engine.identity(), engine.batch_tokens))
        self._seconds = 0.0
        self.ranked = Ranked([], 0)
        """What the dense system found; its seconds and cut texts count for the hybrid system, too."""

    @property
    def seconds(self) -> float:
        """Seconds that embedding and indexing the documents took."""
        return self.ranked.passage_seconds + self._seconds

    def add(self, documents: Sequence[Record], vectors: Vectors) -> None:
        """
        Write documents.

        :param documents: each with another id.
        :param vectors: their vectors. *Shape:* (documents, width) float32
        """
        started = time.perf_counter()
        choice = Choice(embed=list(documents), known={document.id: known_of(document) for document in documents})
        self._writer.commit(choice, vectors, SourceBegun("task", "", VERSION, 0))
        self._seconds += time.perf_counter() - started

    def finish(self, ranked: Ranked) -> None:
        """
        Bring the full text up to date.

        :param ranked: what the dense system found.
        """
        started = time.perf_counter()
        self._writer.finish()
        self._seconds += time.perf_counter() - started
        self.ranked = ranked

    def open(self) -> Snapshot:
        """Return the index as it is now."""
        return Snapshots(self._folder).now()


class TaskIndices:
    """The indices of all tasks that one model embedded."""

    def __init__(self, folder: Path, encoder: BMRetrieverEncoder) -> None:
        """
        :param folder: a folder for them, which the caller removes.
        :param encoder: the engine that makes the vectors.
        """
        self._folder, self._encoder = folder, encoder
        self._begun: dict[str, TaskIndex] = {}

    def begin(self, task: Task) -> TaskIndex:
        """
        Begin the index of a task.

        :param task: a task that was not begun before.
        """
        folder = self._folder / str(len(self._begun))
        folder.mkdir()
        self._begun[task.name] = TaskIndex(folder, self._encoder)
        return self._begun[task.name]

    def get(self, task: Task) -> TaskIndex | None:
        """Return the index of a task, or None if its documents were not embedded in this run."""
        return self._begun.get(task.name)


class HybridRetriever:
    """What :meth:`~bmretriever_integrations.index.SearchIndex.search` finds in mode "hybrid" in an index of the documents."""

    def __init__(self, name: str, dense: DenseRetriever, indices: TaskIndices) -> None:
        """
        :param name: the name of the system in the report.
        :param dense: the system whose vectors are used; it keeps them in ``indices``.
        :param indices: the indices, empty for tasks that ``dense`` did not rank, because their results were known.
        """
        self.name = name
        self._dense, self._indices = dense, indices

    def settings(self, task: AnyTask) -> dict[str, Any]:
        """Return everything that decides the ranking, and the device."""
        return {**self._dense.settings(task), "hybrid": _settings()}

    def rank(self, task: Task, depth: int) -> Ranked:
        """
        Embed the documents if the dense system has not, and search for the queries.

        :param task: the task.
        :param depth: the number of documents to keep for each query.
        """
        if self._indices.get(task) is None:
            self._dense.rank(task, depth)
        index = self._indices.get(task)
        assert index is not None  # the dense system has made it
        own = [None if place == NO_DOCUMENT else task.document_ids[place] for place in task.own_documents.tolist()]
        texts = list(task.queries.values())
        vectors = self._dense.embed_queries(task)
        questions = [Question(*asked) for asked in zip(texts, vectors, own, strict=True)]
        places = {name: place for place, name in enumerate(task.document_ids)}
        found = _answers(index.open(), task, questions, depth)
        return Ranked([_positions(hits, places) for hits in found], index.seconds, index.ranked.cut_texts)


def _answers(snapshot: Snapshot, task: Task, questions: Sequence[Question], depth: int) -> list[Hits]:
    if task.candidates is None:
        return list(answer(snapshot, questions, "hybrid", Wanted(depth)))
    found = []
    for row, question in enumerate(questions):
        allowed = [task.document_ids[place] for place in task.candidates[1, task.candidates[0] == row].tolist()]
        wanted = Wanted(depth, ids_condition(allowed)) if allowed else None
        found.append(next(answer(snapshot, [question], "hybrid", wanted)) if wanted else Hits())
    return found


def _positions(hits: Hits, places: Mapping[str, int]) -> Positions:
    return np.array([places[hit.id] for hit in hits], np.int64)


def _settings() -> dict[str, Any]:
    return {"fusion": "min-max", "share_of_vectors": SHARE, "candidates": CANDIDATES, **versions_of(("lancedb",))}
