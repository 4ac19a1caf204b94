"""Searches an index for coroutines: the question is embedded beside other requests' texts, the index is read on a thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index import Filters, Hits, SearchIndex
from bmretriever_integrations.index.info import Contents, contents_of
from bmretriever_integrations.index.manifest import Manifest
from bmretriever_integrations.index.search.asked import Mode, UnknownRecord
from bmretriever_integrations.serving.embedder import Embedder
from bmretriever_integrations.serving.errors import INVALID, ApiError
from bmretriever_integrations.serving.options import Options
from bmretriever_integrations.serving.search_places import SearchPlaces, cost
from bmretriever_integrations.serving.settings import Limits

PIECE = 8_000
"""Hits for which the index is asked at once. The questions of a batch share a scan of the index; after eight that ask for 1,000
hits each this saves little, and their candidates take memory."""
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
        self._places = SearchPlaces(limits)
        self._contents: tuple[Manifest, Contents] | None = None

    def close(self) -> None:
        """End the threads, after the searches that they do."""
        self._places.close()

    @property
    def searching(self) -> int:
        """Requests that wait for the index, read it, or are being written."""
        return self._places.requests

    async def answer(self, questions: Sequence[str], options: Options) -> list[Found]:
        """
        Answer questions.

        :param questions: questions in words; one is the field ``question`` in messages, several are ``questions``.
        :param options: how they are answered.
        :raises ApiError: if a question or an option is refused, or too many searches wait.
        """
        return await self.written(questions, options, lambda found: found, len(questions) > 1)

    async def written(
        self, questions: Sequence[str], options: Options, write: Callable[[list[Found]], Result], several: bool
    ) -> Result:
        """
        Answer questions, and write the answers on a thread while they still have their place.

        :param questions: questions in words.
        :param options: how they are answered.
        :param write: makes of the answers what is returned.
        :param several: whether the request holds them in its field ``questions``, not one in ``question``.
        :raises ApiError: if a question or an option is refused, or too many searches wait.
        """
        filters = self._checked(options)
        for number, question in enumerate(questions):
            if not question.strip():
                field = f"questions[{number}]" if several else "question"
                raise ApiError(400, f"{field if several else 'the question'} is empty", param=field, code=INVALID)
        vectors, embedding = await self._embedded(questions, options, several)
        started, answered = time.perf_counter(), list[tuple[Hits, int]]()
        step = max(1, PIECE // cost(1, options.top_k))
        async with self._places.taken(cost(len(questions), options.top_k)) as place:
            for first in range(0, len(questions), step):
                part = slice(first, first + step)
                some = None if vectors is None else vectors[part]
                answered += await place.run(partial(self._search, questions[part], some, options, filters))
            seconds = time.perf_counter() - started
            found = [
                Found(question, hits, options.mode, records, filters is not None, embedding, seconds)
                for question, (hits, records) in zip(questions, answered, strict=True)
            ]
            return await place.run(partial(write, found))

    async def like(self, record_id: str, options: Options) -> Found:
        """
        Find the records that are most like one of the index, by its stored vector and its title.

        :param record_id: its id.
        :param options: how they are found; the instruction is not used.
        :raises ApiError: if there is no such record, or an option is refused, or too many searches wait.
        """
        return await self.like_written(record_id, options, lambda found: found)

    async def like_written(self, record_id: str, options: Options, write: Callable[[Found], Result]) -> Result:
        """
        Find the records that are most like one of the index, and write the answer while it still has its place.

        :param record_id: its id.
        :param options: how they are found; the instruction is not used.
        :param write: makes of the answer what is returned.
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

        started = time.perf_counter()
        async with self._places.taken(cost(1, options.top_k)) as place:
            try:
                hits, title, records = await place.run(search)
            except UnknownRecord as error:
                raise _unknown(error, "like") from None
            seconds = time.perf_counter() - started
            found = Found(title, hits, options.mode, records, filters is not None, None, seconds, record_id)
            return await place.run(partial(write, found))

    async def records(self, ids: Sequence[str]) -> list[Record]:
        """
        Read records.

        :param ids: their ids.
        :raises ApiError: if there is no record of an id, or too many searches wait.
        """
        async with self._places.taken() as place:
            try:
                return await place.run(lambda: self.index.get(ids))
            except UnknownRecord as error:
                raise _unknown(error, "id") from None

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

        async with self._places.taken() as place:
            return await place.run(count)

    def _checked(self, options: Options) -> Filters | None:
        if not 1 <= options.top_k <= self._limits.top_k:
            message = f"top_k is {options.top_k:,}; it may be 1 to {self._limits.top_k:,}"
            raise ApiError(400, message, param="top_k", code=INVALID)
        return options.checked_filters()

    async def _embedded(
        self, questions: Sequence[str], options: Options, several: bool
    ) -> tuple[Vectors | None, float | None]:
        started, field = time.perf_counter(), "questions" if several else "question"
        check = self._embedder.admission.check
        admitted = await check("query", questions, options.instruction, field=field, numbered=several)
        if options.mode == "text":  # a text without end is refused here, too
            return None, None
        vectors = self._embedder.finished(await self._embedder.whole(admitted))
        return vectors, time.perf_counter() - started

    def _search(
        self, questions: Sequence[str], vectors: Vectors | None, options: Options, filters: Filters | None
    ) -> list[tuple[Hits, int]]:
        found = self.index.search_many(
            questions,
            options.top_k,
            mode=options.mode,
            filters=filters,
            include_retracted=options.include_retracted,
            vectors=vectors,
        )
        records = len(self.index)
        return [(hits, records) for hits in found]


def _unknown(error: UnknownRecord, field: str) -> ApiError:
    return ApiError(404, str(error), param=field, code="record_not_found")
