"""Define BMRetrieverIndexRetriever, which searches an index for LlamaIndex."""

from __future__ import annotations

import copy
import logging
import os
from typing import Any, Self

import numpy as np
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import NodeWithScore, QueryBundle

from bmretriever_integrations.encoder.cancelling import run_on_thread
from bmretriever_integrations.index.filters.filters import condition
from bmretriever_integrations.index.frameworks.llama_index import node_of
from bmretriever_integrations.index.hits import Hits
from bmretriever_integrations.index.search.asked import Mode, mode_of, wanted_of
from bmretriever_integrations.index.search.shared import LazyIndex
from bmretriever_integrations.prompts import resolve_instruction

logger = logging.getLogger(__name__)


class BMRetrieverIndexRetriever(BaseRetriever):
    """
    Finds nodes in an index that ``bmretriever index`` made, by vectors, by words, or by both.

    The index embeds the question with the model, the settings and the template that its vectors were made with, whatever
    ``Settings.embed_model`` is. It is opened at the first question. Retrievers of the same index with the same model and device
    share what is open, and each sees what another process adds to the index. Copies and pickles hold the settings only.

    If retracted papers were left out, a warning in the log says how many.
    """

    def __init__(
        self,
        index: str | os.PathLike[str],
        *,
        similarity_top_k: int = 5,
        mode: Mode | None = None,
        filters: object = None,
        instruction: str | None = None,
        include_retracted: bool = False,
        model: str | os.PathLike[str] | None = None,
        device: str | None = None,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
    ) -> None:
        """
        Create the retriever; nothing is opened yet.

        :param index: the folder of the index, or its URL on an object store.
        :param similarity_top_k: how many nodes at most.
        :param mode: "hybrid" compares vectors and words, "vector" vectors alone, "text" words alone, for which no model is
            loaded. None takes "hybrid".
        :param filters: what every node fulfils: ``MetadataFilters``, ``Filters``, a dictionary of their fields, e.g.
            ``{"since": 2015}``, or a condition in SQL.
        :param instruction: the task of the questions: a task key or a sentence; None takes the authors' instruction for
            biomedical questions.
        :param include_retracted: find retracted papers, too; ``metadata["retracted"]`` marks them.
        :param model: where the model is now; None takes the name in the index.
        :param device: the device for the model; None takes CUDA, then MPS, then the CPU.
        :param callback_manager: receives LlamaIndex's events.
        :param verbose: see LlamaIndex's ``BaseRetriever``.
        :raises ValueError: if a value is not allowed.
        :raises TypeError: if a value has the wrong type.
        """
        super().__init__(callback_manager=callback_manager, verbose=verbose)
        wanted_of(similarity_top_k, filters, include_retracted)
        mode_of(mode, are_words=True)
        resolve_instruction(instruction)
        self.index, self.model, self.device = os.fspath(index), None if model is None else os.fspath(model), device
        self.similarity_top_k, self.mode, self.filters = similarity_top_k, mode, filters
        self.instruction, self.include_retracted = instruction, include_retracted
        self._opened = LazyIndex()

    def with_filters(self, filters: object) -> Self:
        """
        Copy the retriever for questions with other filters. The copy uses the same open index and the same model.

        :param filters: see the constructor; None filters nothing.
        :raises ValueError: if they ask for something that cannot be asked.
        """
        condition(filters)
        copied = copy.copy(self)
        copied.filters = filters
        return copied

    def warm_up(self) -> None:
        """
        Open the index and, unless words alone are compared, load its model.

        :raises FileNotFoundError: if there is no index, or its model is not where it was.
        """
        with self._opened.use(self.index, self.model, self.device) as index:
            if self.mode != "text":
                index.warm_up()

    def close(self) -> None:
        """
        Release the index and its model, also for the copies of :meth:`with_filters`.

        Their memory is freed when the last retriever that uses them is closed. A later question opens the index again.
        """
        self._opened.release()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self._search(query_bundle)
        if hits.retracted_left_out:
            logger.warning("retracted papers left out: %d; include_retracted=True shows them", hits.retracted_left_out)
        return [NodeWithScore(node=node_of(hit), score=hit.score) for hit in hits]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await run_on_thread(None, self._retrieve, query_bundle)

    def _search(self, asked: QueryBundle) -> Hits:
        """A vector in the bundle takes the place of the question's own; a bundle without words has nothing else."""
        if asked.embedding is None and asked.custom_embedding_strs not in (None, [asked.query_str]):
            raise ValueError(
                "custom_embedding_strs would be embedded as questions. Give their vector as the QueryBundle's embedding; for "
                "hypothetical documents, BMRetrieverHyDE does so"
            )
        options: dict[str, Any] = {"mode": self.mode, "filters": self.filters, "instruction": self.instruction}
        options |= {"top_k": self.similarity_top_k, "include_retracted": self.include_retracted}
        with self._opened.use(self.index, self.model, self.device) as index:
            if asked.embedding is None:
                return index.search(asked.query_str, **options)
            vectors = np.asarray([asked.embedding], np.float32)
            if not asked.query_str.strip():
                return index.search_many(vectors, **options)[0]
            return index.search_many([asked.query_str], vectors=vectors, **options)[0]
