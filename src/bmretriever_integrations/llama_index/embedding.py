"""Define BMRetrieverEmbedding, which gives the shared engine LlamaIndex's embedding interface."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr, SecretStr, field_validator, model_validator

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.encoder.cancelling import run_on_thread
from bmretriever_integrations.encoder.sharing import LazyEngine
from bmretriever_integrations.encoder.warm_up import WarmUp
from bmretriever_integrations.llama_index.ingestion_key import texts_being_cached
from bmretriever_integrations.llama_index.public_calls import PublicCalls
from bmretriever_integrations.llama_index.vector_cache import Role, namespace
from bmretriever_integrations.prompts import resolve_instruction
from bmretriever_integrations.settings import MAX_LENGTH, EncoderSettings, path_as_text


class BMRetrieverEmbedding(PublicCalls):
    """
    BMRetriever as an embedding model of LlamaIndex. Its vectors equal those of the authors' own code.

    The model is loaded at the first use. Embeddings with equal settings share one engine. The engine is freed when the last of
    them is closed or deleted; a call after :meth:`close` loads it again. Copies, pickles and dicts contain the settings only and
    no token: a process that unpickles an embedding uses the hub login of its own machine.

    BMRetriever compares by dot product. LlamaIndex's own :meth:`similarity` and its in-memory store compare by cosine, which
    ranks differently. Pass ``SimilarityMode.DOT_PRODUCT`` there, or set ``normalize=True``. For the vector stores, see
    :mod:`bmretriever_integrations.stores`.

    In the cache of an IngestionPipeline and in ``embeddings_cache``, the weights and every setting that changes a vector are part
    of the key, also the settings of the nodes.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)  # the input may hold a token

    model_name: str = Field(
        default=DEFAULT_MODEL, description='Hub id, short name ("410M", "1B", "2B", "7B", "small", "mini") or folder.'
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

    if not TYPE_CHECKING:  # type checkers read the fields

        def __init__(self, model_name: str | os.PathLike[str] = ..., **fields: Any) -> None:
            # the model's name needs no keyword, as in LlamaIndex's HuggingFaceEmbedding
            super().__init__(**fields, **({} if model_name is ... else {"model_name": model_name}))

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex writes into serialised settings."""
        return "BMRetrieverEmbedding"

    _take_path = field_validator("model_name", mode="before")(path_as_text)

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

    @property
    def passage_tokens(self) -> int:
        """
        The most tokens that a node may have, its title included, to be embedded whole; reading it loads the model.

        It is the ``chunk_size`` for LlamaIndex's splitters, together with ``tokenizer=embedding.text_tokens``.
        """
        return self._engine.get(self._encoder_settings()).passage_tokens

    def text_tokens(self, text: str) -> list[int]:
        """
        Tokenize a text alone, without template, BOS and EOS; the first call loads the model.

        :param text: any text; it is not cut.
        :returns: the ids of its tokens.
        """
        return self._engine.get(self._encoder_settings()).text_tokens(text)

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

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """
        Return the settings as plain values, without token.

        While LlamaIndex makes a key for the cache of an IngestionPipeline, the dictionary also names the weights and the texts.

        :param kwargs: arguments of pydantic's ``model_dump``.
        """
        data: dict[str, Any] = super().to_dict(**kwargs)
        texts = texts_being_cached()
        return data if texts is None else {**data, "passages": self._namespace("passage"), "texts": texts}

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

    def _embed_passages(self, texts: list[str]) -> list[Embedding]:
        vectors: list[Embedding] = self._engine.get(self._encoder_settings()).encode_passages(texts).tolist()
        return vectors

    # the hooks do not call each other, because a subclass may override any of them
    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._embed_passages(texts)

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._embed_passages([text])[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await run_on_thread(None, self._get_query_embedding, query)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await run_on_thread(None, self._get_text_embeddings, texts)

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return await run_on_thread(None, self._get_text_embedding, text)

    def _namespace(self, role: Role) -> str:
        settings = self._encoder_settings()
        return namespace(self._engine.fingerprint(settings), settings, role, resolve_instruction(self.instruction))
