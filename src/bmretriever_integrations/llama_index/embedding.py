"""Define BMRetrieverEmbedding, which gives the shared engine LlamaIndex's embedding interface."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr, SecretStr, field_validator, model_validator
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index_instrumentation import get_dispatcher

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.encoder.sharing import LazyEngine
from bmretriever_integrations.encoder.warm_up import WarmUp
from bmretriever_integrations.llama_index.vector_cache import Role, arecall, namespace, recall
from bmretriever_integrations.prompts import resolve_instruction
from bmretriever_integrations.settings import MAX_LENGTH, EncoderSettings

dispatcher = get_dispatcher(__name__)


class BMRetrieverEmbedding(BaseEmbedding):
    """
    BMRetriever as an embedding model of LlamaIndex. Its vectors equal those of the authors' own code.

    The model is loaded at the first use. Embeddings with equal settings share one engine. The engine is freed when the last of
    them is closed or deleted; a call after :meth:`close` loads it again. Copies, pickles and dicts contain the settings only and
    no token: a process that unpickles an embedding uses the hub login of its own machine.

    BMRetriever compares by dot product. LlamaIndex's own :meth:`similarity` and its in-memory store compare by cosine, which
    ranks differently. Pass ``SimilarityMode.DOT_PRODUCT`` there, or set ``normalize=True``. For the vector stores, see
    :mod:`bmretriever_integrations.stores`.

    The cache of an IngestionPipeline identifies a model folder by its path only; clear it after training into the same folder.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)  # the input may hold a token

    model_name: str = Field(
        default=DEFAULT_MODEL, description='Hub id, short name ("410M", "1B", "2B", "7B", "mini") or folder.'
    )
    instruction: str | None = Field(
        default=None, description="The task of the queries: a task key or a sentence; None means biomedical questions."
    )
    max_length: int = Field(default=MAX_LENGTH, description="Tokens of a sequence, BOS and EOS included.")
    normalize: bool = Field(default=False, description="Scale vectors to length 1.")
    truncate_dim: int | None = Field(default=None, description="Keep this many leading dimensions.")
    device: str | None = Field(default=None, description='E.g. "cuda:1"; None takes CUDA, then MPS, then the CPU.')
    dtype: str = Field(default="auto", description='"auto", "float32", "bfloat16" or "float16".')
    quantization: str | None = Field(
        default=None, description='Number type of the linear layers: "int8" or "fp8"; None takes dtype.'
    )
    revision: str | None = Field(default=None, description="Commit, branch or tag on the hub.")
    local_files_only: bool = Field(default=False, description="Do not connect to the hub.")
    token: SecretStr | None = Field(default=None, exclude=True, repr=False, description="Access token for the hub.")
    max_batch_tokens: int | None = Field(
        default=None, description="Tokens of a batch on the device; None chooses by its free memory."
    )
    # 2048 is the most that LlamaIndex allows; the engine sorts the texts by length and makes the device's batches itself
    embed_batch_size: int = Field(default=2048, gt=0, le=2048, description="Texts passed to the engine at a time.")

    _engine: LazyEngine = PrivateAttr(default_factory=LazyEngine)

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex writes into serialised settings."""
        return "BMRetrieverEmbedding"

    @field_validator("model_name", mode="before")
    @classmethod
    def _take_path(cls, value: Any) -> Any:
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    @model_validator(mode="before")
    @classmethod
    def _drop_class_name(cls, data: Any) -> Any:
        """Remove the name of the class, which LlamaIndex writes among the fields when it serialises."""
        if isinstance(data, dict) and data.get("class_name") == cls.class_name():
            return {key: value for key, value in data.items() if key != "class_name"}
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._encoder_settings()
        resolve_instruction(self.instruction)
        return self

    def _encoder_settings(self) -> EncoderSettings:
        return EncoderSettings(
            model=self.model_name,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            quantization=self.quantization,
            max_length=self.max_length,
            normalize=self.normalize,
            truncate_dim=self.truncate_dim,
            max_batch_tokens=self.max_batch_tokens,
            local_files_only=self.local_files_only,
            token=self.token.get_secret_value() if self.token else None,
        )

    @property
    def width(self) -> int:
        """Length of a vector; reading it loads the model."""
        return self._engine.get(self._encoder_settings()).width

    def warm_up(self, *, compile_layers: bool = False) -> WarmUp:
        """
        Load the model and do the work that the first query would otherwise wait for; see the encoder's ``warm_up``.

        :param compile_layers: let PyTorch compile the layers, which takes half a minute or more.
        :returns: the steps after loading and their seconds; ``print`` shows them.
        """
        engine = self._engine.get(self._encoder_settings())
        return engine.warm_up(resolve_instruction(self.instruction), compile_layers=compile_layers)

    def close(self) -> None:
        """Release the model; the next call loads it again. Closing twice does nothing."""
        self._engine.release()

    def __copy__(self) -> Self:
        copied = super().__copy__()
        copied._engine = LazyEngine()  # each copy needs its own lease, because each copy can be closed
        return copied

    def __getstate__(self) -> dict[str, Any]:
        # the state of a copy, because LlamaIndex's method removes what cannot be pickled from the object itself
        return super(BMRetrieverEmbedding, self.model_copy(update={"token": None})).__getstate__()

    # -- vectors -------------------------------------------------------------------------------------------------------

    def _get_query_embedding(self, query: str) -> Embedding:
        engine = self._engine.get(self._encoder_settings())
        vector: Embedding = engine.encode_queries([query], resolve_instruction(self.instruction))[0].tolist()
        return vector

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        vectors: list[Embedding] = self._engine.get(self._encoder_settings()).encode_passages(texts).tolist()
        return vectors

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._get_text_embeddings([text])[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return (await self._aget_text_embeddings([text]))[0]

    # -- public methods, overridden because LlamaIndex would cache vectors by the text alone ---------------------------

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
            vectors.extend(await self._arecall("passage", [text], self._aget_text_embeddings_rate_limited))
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
        return self._get_text_embeddings(texts)

    def _get_text_embeddings_cached(self, texts: list[str]) -> list[Embedding]:
        return self._recall("passage", texts, self._get_text_embeddings)

    async def _aget_text_embeddings_cached(self, texts: list[str]) -> list[Embedding]:
        return await self._arecall("passage", texts, self._aget_text_embeddings)

    def _namespace(self, role: Role) -> str:
        settings = self._encoder_settings()
        return namespace(self._engine.fingerprint(settings), settings, role, resolve_instruction(self.instruction))

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
