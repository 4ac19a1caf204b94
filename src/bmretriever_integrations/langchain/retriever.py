"""Define BMRetrieverIndexRetriever, which searches an index for LangChain."""

from __future__ import annotations

import logging
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr, field_validator, model_validator

from bmretriever_integrations.encoder.cancelling import run_on_thread
from bmretriever_integrations.index import Hit
from bmretriever_integrations.index.search.asked import Mode, wanted_of
from bmretriever_integrations.langchain.opened import OpenedIndex, opened_index
from bmretriever_integrations.prompts import resolve_instruction
from bmretriever_integrations.settings import path_as_text

logger = logging.getLogger(__name__)


class BMRetrieverIndexRetriever(BaseRetriever):
    """
    Searches an index that :func:`~bmretriever_integrations.index.build_index` wrote.

    A Document has a record's text as its content, and ``id``, ``title``, ``score`` and all facts that are known as its metadata.

    The index embeds the question with the model, the settings and the template that its vectors were made with. It is opened at
    the first question. Retrievers of the same index share it and its model, also those that ``configurable_fields`` makes for a
    call. Pickles hold the settings only.

    If retracted papers were left out, a warning in the log says how many.
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
    _named: tuple[str, str | None, str | None] = PrivateAttr()

    _take_path = field_validator("index", "model", mode="before")(path_as_text)

    def model_post_init(self, context: Any, /) -> None:
        """Find the opened index that retrievers of the same one share."""
        super().model_post_init(context)
        self._named = self.index, self.model, self.device
        self._opened = opened_index(*self._named)

    @model_validator(mode="after")
    def _check(self) -> Self:
        wanted_of(self.k, self.filters, self.include_retracted)
        resolve_instruction(self.instruction)
        return self

    def warm_up(self) -> None:
        """
        Open the index and, unless words alone are compared, load its model.

        :raises FileNotFoundError: if there is no index, or its model is not where it was.
        """
        with self._current().use() as index:
            if self.mode != "text":
                index.warm_up()

    def close(self) -> None:
        """Release the index and its model, also for the other retrievers of it. A later question opens them again."""
        self._current().release()

    def _current(self) -> OpenedIndex:
        """``model_copy(update=...)`` and an assignment may have named another index since this one was found."""
        named = self.index, self.model, self.device
        if named != self._named:
            self._opened, self._named = opened_index(*named), named
        return self._opened

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002
        k: int | None = None,
        filters: Any = None,
    ) -> list[Document]:
        return self._search(query, k, filters)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002
        k: int | None = None,
        filters: Any = None,
    ) -> list[Document]:
        return await run_on_thread(None, self._search, query, k, filters)

    def _search(self, query: str, k: int | None, filters: Any) -> list[Document]:
        with self._current().use() as index:
            hits = index.search(
                query,
                self.k if k is None else k,
                mode=self.mode,
                filters=self.filters if filters is None else filters,
                instruction=self.instruction,
                include_retracted=self.include_retracted,
            )
        if hits.retracted_left_out:
            logger.warning("retracted papers left out: %d; include_retracted=True shows them", hits.retracted_left_out)
        return [_document_of(hit) for hit in hits]


def _document_of(hit: Hit) -> Document:
    """The id is in the metadata, too, because LangChain's templates for a prompt see nothing else of a Document."""
    named = {"id": hit.id, "title": hit.title, "score": hit.score}
    facts = {key: value for key, value in hit.metadata.items() if key not in named}
    return Document(hit.text, id=hit.id, metadata={**named, **facts})
