"""Override the methods of LlamaIndex's BaseEmbedding that would cache vectors by the text alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index_instrumentation import get_dispatcher

from bmretriever_integrations.llama_index.vector_cache import Role, arecall, recall

dispatcher = get_dispatcher(__name__)


class PublicCalls(BaseEmbedding):
    """
    LlamaIndex's public methods, with a cache whose keys include everything on which a vector depends.

    The vectors themselves come from LlamaIndex's hooks (``_get_query_embedding``, ``_get_text_embedding``,
    ``_get_text_embeddings`` and their asynchronous forms), which a subclass may override.
    """

    def get_query_embedding(self, query: str) -> Embedding:
        """
        Embed a query with the instruction.

        :param query: its text.
        """
        with self._announced(query) as vectors:
            vectors.extend(self._recall("query", [query], self._limited_queries))
        return vectors[0]

    async def aget_query_embedding(self, query: str) -> Embedding:
        """
        Embed a query with the instruction. The event loop is not blocked, not even while the model is loaded.

        :param query: its text.
        """
        with self._announced(query) as vectors:
            vectors.extend(await self._arecall("query", [query], self._alimited_queries))
        return vectors[0]

    def get_text_embedding(self, text: str) -> Embedding:
        """
        Embed a passage.

        :param text: its text.
        """
        with self._announced(text) as vectors:
            vectors.extend(self._recall("passage", [text], self._limited_texts))
        return vectors[0]

    async def aget_text_embedding(self, text: str) -> Embedding:
        """
        Embed a passage. The event loop is not blocked, not even while the model is loaded.

        :param text: its text.
        """
        with self._announced(text) as vectors:
            vectors.extend(await self._arecall("passage", [text], self._alimited_texts))
        return vectors[0]

    def _limited_queries(self, queries: list[str]) -> list[Embedding]:
        if self.rate_limiter is not None:
            self.rate_limiter.acquire()
        return [self._get_query_embedding(query) for query in queries]

    async def _alimited_queries(self, queries: list[str]) -> list[Embedding]:
        if self.rate_limiter is not None:
            await self.rate_limiter.async_acquire()
        return [await self._aget_query_embedding(query) for query in queries]

    def _limited_texts(self, texts: list[str]) -> list[Embedding]:
        if self.rate_limiter is not None:
            self.rate_limiter.acquire()
        return [self._get_text_embedding(text) for text in texts]

    async def _alimited_texts(self, texts: list[str]) -> list[Embedding]:
        if self.rate_limiter is not None:
            await self.rate_limiter.async_acquire()
        return [await self._aget_text_embedding(text) for text in texts]

    def _get_text_embeddings_cached(self, texts: list[str]) -> list[Embedding]:
        return self._recall("passage", texts, self._get_text_embeddings)

    async def _aget_text_embeddings_cached(self, texts: list[str]) -> list[Embedding]:
        return await self._arecall("passage", texts, self._aget_text_embeddings)

    def _namespace(self, role: Role) -> str:
        """Return the prefix of all cache keys of one role. It may read the files of a checkpoint."""
        raise NotImplementedError

    def _recall(self, role: Role, texts: list[str], compute: Callable[[list[str]], list[Embedding]]) -> list[Embedding]:
        if self.embeddings_cache is None:
            return compute(texts)
        return recall(self.embeddings_cache, partial(self._namespace, role), texts, compute)

    async def _arecall(
        self, role: Role, texts: list[str], compute: Callable[[list[str]], Awaitable[list[Embedding]]]
    ) -> list[Embedding]:
        if self.embeddings_cache is None:
            return await compute(texts)
        prefix = partial(asyncio.to_thread, self._namespace, role)  # in a thread, because it may read files
        return await arecall(self.embeddings_cache, prefix, texts, compute)

    @contextmanager
    def _announced(self, text: str) -> Iterator[list[Embedding]]:
        """Report the embedding of one text to LlamaIndex's instrumentation and callbacks; the caller's block fills the list."""
        model = self.to_payload()
        vectors: list[Embedding] = []
        dispatcher.event(EmbeddingStartEvent(model_dict=model))
        with self.callback_manager.event(CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: model}) as event:
            yield vectors
            event.on_end(payload={EventPayload.CHUNKS: [text], EventPayload.EMBEDDINGS: vectors})
        dispatcher.event(EmbeddingEndEvent(chunks=[text], embeddings=vectors))
