"""Searches an index for coroutines: the question is embedded beside other requests' texts, the index is read on a thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder.cancelling import run_on_thread
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index import Filters, Hits, SearchIndex
from bmretriever_integrations.index.info import Contents, contents_of
from bmretriever_integrations.index.manifest import Manifest
from bmretriever_integrations.index.search.asked import Mode, UnknownRecord
from bmretriever_integrations.serving.embedder import Embedder
from bmretriever_integrations.serving.errors import ApiError, overloaded
from bmretriever_integrations.serving.options import Options
from bmretriever_integrations.serving.settings import Limits

THREADS = 4
"""Searches that read the index at the same time; LanceDB computes with several threads for each."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Found:
    """The answer to one question."""

    question: str
    """The question, or the title of the record that others should be like."""
    hits: Hits
    mode: Mode
    records: int
    """Records in the index."""
    filtered: bool
    """Whether filters left out records."""
    embedding_seconds: float | None
    """How long the question waited and was embedded; None if it was not."""
    search_seconds: float
    """How long the search waited and the index was read."""
    like: str | None = None
    """The id of the record that others should be like; None where a question was asked."""


class Searcher:
    """One index and the engine that embeds questions for it."""

    def __init__(self, index: SearchIndex, embedder: Embedder, limits: Limits) -> None:
        """
        :param index: the index.
        :param embedder: embeds with the engine that made the index's vectors.
        :param limits: the bounds of requests.
        """
        self.index, self._embedder, self._limits = index, embedder, limits
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="bmretriever-search")
        self.searching = 0
        """Searches that wait for a thread or have one."""
        self._contents: tuple[Manifest, Contents] | None = None

    def close(self) -> None:
        """End the threads, after the searches that they do."""
        self._threads.shutdown()

    async def answer(self, questions: Sequence[str], options: Options) -> list[Found]:
        """
        Answer questions.

        :param questions: questions in words.
        :param options: how they are answered.
        :raises ApiError: if a question or an option is refused, or too many searches wait.
        """
        filters = self._checked(options)
        for number, question in enumerate(questions):
            if not question.strip():
                which = f"question {number}" if len(questions) > 1 else "the question"
                raise ApiError(400, f"{which} is empty", param="question")
        vectors, embedding = await self._embedded(questions, options)

        def search() -> tuple[list[Hits], int]:
            found = self.index.search_many(
                questions,
                options.top_k,
                mode=options.mode,
                filters=filters,
                include_retracted=options.include_retracted,
                vectors=vectors,
            )
            return found, len(self.index)

        (answers, records), seconds = await self._timed(search)
        return [
            Found(question, hits, options.mode, records, filters is not None, embedding, seconds)
            for question, hits in zip(questions, answers, strict=True)
        ]

    async def like(self, record_id: str, options: Options) -> Found:
        """
        Find the records that are most like one of the index, by its stored vector and its title.

        :param record_id: its id.
        :param options: how they are found; the instruction is not used.
        :raises ApiError: if there is no such record, or an option is refused, or too many searches wait.
        """
        filters = self._checked(options)

        def search() -> tuple[Hits, str, int]:
            hits = self.index.more_like(
                record_id,
                options.top_k,
                mode=options.mode,
                filters=filters,
                include_retracted=options.include_retracted,
            )
            return hits, self.index.get([record_id])[0].title, len(self.index)

        (hits, title, records), seconds = await self._timed(search)
        return Found(title, hits, options.mode, records, filters is not None, None, seconds, record_id)

    async def records(self, ids: Sequence[str]) -> list[Record]:
        """
        Read records.

        :param ids: their ids.
        :raises ApiError: if there is no record of an id, or too many searches wait.
        """
        records, _ = await self._timed(lambda: self.index.get(ids))
        return records

    async def contents(self) -> tuple[Contents, bool]:
        """
        Count what the index holds; it is counted anew after each change of the index.

        :returns: the counts, and whether searches are approximate.
        :raises ApiError: if too many searches wait.
        """

        def count() -> tuple[Contents, bool]:
            manifest = self.index.manifest
            if self._contents is None or self._contents[0] is not manifest:
                self._contents = (manifest, contents_of(self.index.folder))
            return self._contents[1], self.index.tuned

        return (await self._timed(count))[0]

    def _checked(self, options: Options) -> Filters | None:
        if not 1 <= options.top_k <= self._limits.top_k:
            message = f"top_k is {options.top_k:,}; it may be 1 to {self._limits.top_k:,}"
            raise ApiError(400, message, param="top_k")
        return options.checked_filters()

    async def _embedded(self, questions: Sequence[str], options: Options) -> tuple[Vectors | None, float | None]:
        started = time.perf_counter()
        admitted = await self._embedder.admission.check("query", questions, options.instruction, "question")
        if options.mode == "text":  # a text without end is refused here, too
            return None, None
        vectors = self._embedder.finished(await self._embedder.whole(admitted))
        return vectors, time.perf_counter() - started

    async def _timed(self, search: Callable[[], Result]) -> tuple[Result, float]:
        """Run on a thread if there is a place."""
        started = time.perf_counter()
        if self.searching >= self._limits.searches:
            raise overloaded(f"{self.searching:,} searches are waiting already", 1)
        self.searching += 1
        try:
            result = await run_on_thread(self._threads, search)
        except UnknownRecord as error:
            raise ApiError(404, str(error), param="id", code="record_not_found") from None
        finally:
            self.searching -= 1
        return result, time.perf_counter() - started
