"""Measure a BMRetriever model: embed the documents chunk by chunk, and rank them by dot product."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder import BMRetrieverEncoder
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.evaluation.systems.comparison import Ranked
from bmretriever_integrations.evaluation.systems.ranking import cosines, rank_by_dot_product
from bmretriever_integrations.evaluation.systems.stored_vectors import VectorChoice, rank_stored
from bmretriever_integrations.evaluation.tasks.retrieval import Task
from bmretriever_integrations.evaluation.tasks.similarity import AnyTask, SimilarityTask
from bmretriever_integrations.prompts import TASK_INSTRUCTIONS, resolve_instruction

if TYPE_CHECKING:
    from bmretriever_integrations.evaluation.systems.hybrid import TaskIndices

PASSAGES_AT_ONCE = 32_768
"""The number of passages that are in memory with their vectors: half a gigabyte at width 4096. Most tasks have one chunk and so
one progress bar."""


def rank_in_chunks(
    task: Task,
    queries: Vectors,
    embed: Callable[[list[Record]], Vectors],
    depth: int,
    choice: VectorChoice | None = None,
    *,
    keep: Callable[[list[Record], Vectors], None] | None = None,
) -> Ranked:
    """
    Embed a task's documents chunk by chunk and rank each chunk before the next.

    :param task: the task.
    :param queries: vectors of its queries, in their order. *Shape:* (queries, width) float32
    :param embed: a function that embeds documents. *Shape:* (documents, width) float32
    :param depth: the number of documents to keep for each query.
    :param choice: the form in which the documents' vectors are stored; None means float32.
    :param keep: called with the documents and vectors of each chunk; its time does not count.
    """
    seconds = 0.0

    def blocks() -> Iterator[Vectors]:
        nonlocal seconds
        passages = task.passages()
        while chunk := list(islice(passages, PASSAGES_AT_ONCE)):
            started = time.perf_counter()
            vectors = embed(chunk)
            seconds += time.perf_counter() - started
            if keep is not None:
                keep(chunk, vectors)
            yield vectors

    limits = depth, task.own_documents, task.candidates
    if choice is None or choice == VectorChoice():
        ranking = rank_by_dot_product(queries, blocks(), *limits)
    else:
        ranking = rank_stored(queries, blocks(), *limits, choice=choice)
    return Ranked(ranking, seconds)


class DenseRetriever:
    """Exact search over one engine's vectors. The vectors are not kept in memory after they are scored."""

    def __init__(
        self,
        name: str,
        encoder: BMRetrieverEncoder,
        instruction: str | None = None,
        choice: VectorChoice | None = None,
        indices: TaskIndices | None = None,
    ) -> None:
        """
        :param name: the name of the system in the report.
        :param encoder: the engine; the caller closes it.
        :param instruction: a task key or a sentence for all tasks. None takes the instruction whose key is the task's name, else
            the engine's own instruction.
        :param choice: the form in which the documents' vectors are stored; None means float32.
        :param indices: where documents and vectors are written, for a
            :class:`~bmretriever_integrations.evaluation.systems.hybrid.HybridRetriever`.
        :raises ValueError: if the instruction is neither a key nor a sentence.
        """
        self.name = name
        self._encoder = encoder
        self._instruction = None if instruction is None else resolve_instruction(instruction)
        self._identity = encoder.identity()
        self._choice = choice or VectorChoice()
        self._indices = indices

    def instruction(self, task: AnyTask) -> str:
        """Return the instruction for this task's queries, a sentence."""
        return self._instruction or TASK_INSTRUCTIONS.get(task.name) or self._encoder.instruction

    def settings(self, task: AnyTask) -> dict[str, Any]:
        """Return everything that decides the ranking, and the device."""
        own: dict[str, Any] = {"device": str(self._encoder.device), "instruction": self.instruction(task)}
        asked = self._encoder.settings
        if asked.truncate_dim is not None:
            own["truncate_dim"] = asked.truncate_dim
        if asked.dtype != "auto":
            own["asked_dtype"] = asked.dtype
        return {**self._identity, **own, **self._choice.settings}

    def rank(self, task: Task, depth: int) -> Ranked:
        """
        Embed the task's queries and documents, and rank the documents.

        :param task: the task.
        :param depth: the number of documents to keep for each query.
        """
        before = self._encoder.cut_texts
        queries = self.embed_queries(task)
        index = None if self._indices is None else self._indices.begin(task)

        def embed(documents: list[Record]) -> Vectors:
            return self._encoder.encode_passages([d.text for d in documents], [d.title for d in documents])

        ranked = rank_in_chunks(task, queries, embed, depth, self._choice, keep=None if index is None else index.add)
        ranked = replace(ranked, cut_texts=self._encoder.cut_texts - before)
        if index is not None:
            index.finish(ranked)
        return ranked

    def embed_queries(self, task: Task) -> Vectors:
        """
        Embed the task's queries with its instruction.

        :param task: the task.
        :returns: *Shape:* (queries, width) float32
        """
        return self._encoder.encode_queries(list(task.queries.values()), self.instruction(task))

    def similarities(self, task: SimilarityTask) -> Vectors:
        """
        Embed both sentences of each pair as queries, as mteb does, because neither is a passage. Compare them in the stored form.

        :param task: the task.
        :returns: *Shape:* (pairs,) float32 cosine of each pair's vectors.
        """
        instruction = self.instruction(task)
        left, right = (self._encoder.encode_queries(side, instruction) for side in (task.left, task.right))
        ranges = self._choice.ranges(np.concatenate([left, right]))
        return cosines(self._choice.stored(left, ranges), self._choice.stored(right, ranges))
