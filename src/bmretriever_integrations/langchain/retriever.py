"""Define BMRetrieverIndexRetriever, which searches an index for LangChain."""

from __future__ import annotations

import os
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr, field_validator

from bmretriever_integrations.encoder.cancelling import run_on_thread
from bmretriever_integrations.index import Hit, Hits
from bmretriever_integrations.index.search.asked import Mode
from bmretriever_integrations.langchain.opened import OpenedIndex, opened_index


class BMRetrieverIndexRetriever(BaseRetriever):
    """
    Searches an index that :func:`~bmretriever_integrations.index.build_index` wrote.

    A Document has a record's text as its content, and ``id``, ``title``, ``score`` and all facts that are known as its metadata.
    How many retracted papers were left out is told to callbacks, as their ``on_text``.

    The index is opened at the first question. Retrievers of the same index share it and its model, also those that
    ``configurable_fields`` makes for a call. :meth:`close` closes it for all of them; the next question opens it again.
    """

    model_config = ConfigDict(extra="forbid")

    index: str = Field(description="The folder of the index, or its URL.")
    model: str | None = Field(
        default=None,
        description="Where the model is now; None takes the name in the index. Its weights must be the same.",
    )
    device: str | None = Field(default=None, description='E.g. "cuda:1"; None takes CUDA, then MPS, then the CPU.')
    k: int = Field(default=5, ge=1, description="How many Documents; ``invoke`` takes another number as ``k=``.")
    mode: Mode | None = Field(
        default=None, description='"hybrid" (None means the same), "vector", or "text", which needs no model.'
    )
    filters: Any = Field(
        default=None,
        description="What every Document fulfils, in each form that ``SearchIndex.search`` takes; ``invoke`` takes other "
        "filters as ``filters=``.",
    )
    instruction: str | None = Field(
        default=None, description="The task of the questions: a task key or a sentence; None takes the model's own."
    )
    include_retracted: bool = Field(
        default=False, description='Show retracted papers; ``metadata["retracted"]`` marks them.'
    )

    _opened: OpenedIndex = PrivateAttr()

    @field_validator("index", "model", mode="before")
    @classmethod
    def _take_path(cls, value: Any) -> Any:
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    def model_post_init(self, context: Any, /) -> None:
        """Find the opened index that retrievers of the same one share."""
        super().model_post_init(context)
        self._opened = opened_index(self.index, self.model, self.device)

    def close(self) -> None:
        """Close the index and its model; the next question opens them again. Closing twice does nothing."""
        self._opened.close()

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None, filters: Any = None
    ) -> list[Document]:
        hits = self._search(query, k, filters)
        if hits.retracted_left_out:
            run_manager.on_text(_left_out(hits))
        return [_document_of(hit) for hit in hits]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None, filters: Any = None
    ) -> list[Document]:
        hits = await run_on_thread(None, self._search, query, k, filters)
        if hits.retracted_left_out:
            await run_manager.on_text(_left_out(hits))
        return [_document_of(hit) for hit in hits]

    def _search(self, query: str, k: int | None, filters: Any) -> Hits:
        return self._opened.get().search(
            query,
            self.k if k is None else k,
            mode=self.mode,
            filters=self.filters if filters is None else filters,
            instruction=self.instruction,
            include_retracted=self.include_retracted,
        )


def _left_out(hits: Hits) -> str:
    return f"retracted papers left out: {hits.retracted_left_out}; include_retracted=True shows them"


def _document_of(hit: Hit) -> Document:
    """The id is in the metadata, too, because LangChain's templates for a prompt see nothing else of a Document."""
    named = {"id": hit.id, "title": hit.title, "score": hit.score}
    facts = {key: value for key, value in hit.metadata.items() if key not in named}
    return Document(hit.text, id=hit.id, metadata={**named, **facts})
