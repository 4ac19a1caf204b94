"""Define BMRetrieverEmbeddings, which gives the shared engine LangChain's embedding interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from langchain_core.embeddings import Embeddings
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.encoder.cancelling import run_on_thread
from bmretriever_integrations.encoder.sharing import LazyEngine
from bmretriever_integrations.encoder.warm_up import WarmUp
from bmretriever_integrations.prompts import resolve_instruction
from bmretriever_integrations.settings import MAX_LENGTH, EncoderSettings, path_as_text

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder


class BMRetrieverEmbeddings(BaseModel, Embeddings):
    """
    BMRetriever as an embedding model of LangChain. Its vectors equal those of the authors' own code.

    The model is loaded at the first use. Embeddings with equal settings share one engine. The engine is freed when the last of
    them is closed or deleted; a call after :meth:`close` loads it again. Copies and pickles contain the settings only, and
    pickles no token: a process that unpickles an embedding uses the hub login of its own machine.

    BMRetriever compares by dot product, and LangChain's vector stores by cosine or Euclidean distance unless they are told
    otherwise. Where a store cannot compare by dot product, set ``normalize=True``: then all three rank alike.
    """

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, validate_assignment=True
    )  # the input may be a token

    model: str = Field(
        default=DEFAULT_MODEL,
        validation_alias=AliasChoices("model", "model_name"),
        description='Hub id, short name ("410M", "1B", "2B", "7B", "small", "mini") or folder; "model_name" means the same.',
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

    _engine: LazyEngine = PrivateAttr(default_factory=LazyEngine)

    _take_path = field_validator("model", mode="before")(path_as_text)

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._encoder_settings()
        resolve_instruction(self.instruction)
        return self

    def _encoder_settings(self) -> EncoderSettings:
        return EncoderSettings(
            model=self.model,
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

    def _loaded(self) -> BMRetrieverEncoder:
        return self._engine.get(self._encoder_settings())

    # -- vectors -------------------------------------------------------------------------------------------------------

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """
        Embed passages.

        :param texts: the passages. One with a title is title, space, text, the form with which BMRetriever was trained.
        :returns: one vector for each passage, in the same order.
        """
        vectors: list[list[float]] = self._loaded().encode_passages(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """
        Embed a query with the instruction.

        :param text: its text.
        """
        vector: list[float] = self._loaded().encode_queries([text], resolve_instruction(self.instruction))[0].tolist()
        return vector

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """
        Embed passages. The event loop is not blocked, not even while the model is loaded.

        :param texts: the passages; see :meth:`embed_documents`.
        :returns: one vector for each passage, in the same order.
        """
        return await run_on_thread(None, self.embed_documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        """
        Embed a query with the instruction. The event loop is not blocked, not even while the model is loaded.

        :param text: its text.
        """
        return await run_on_thread(None, self.embed_query, text)

    # -- the model -----------------------------------------------------------------------------------------------------

    @property
    def width(self) -> int:
        """Length of a vector; reading it loads the model."""
        return self._loaded().width

    @property
    def passage_tokens(self) -> int:
        """
        The most tokens that a passage may have, its title included, to be embedded whole; reading it loads the model.

        It is the ``chunk_size`` for LangChain's splitters, with a ``length_function`` that counts :meth:`text_tokens`.
        """
        return self._loaded().passage_tokens

    def text_tokens(self, text: str) -> list[int]:
        """
        Tokenize a text alone, without template, BOS and EOS; the first call loads the model.

        :param text: any text; it is not cut.
        :returns: the ids of its tokens.
        """
        return self._loaded().text_tokens(text)

    def warm_up(self, *, compile_layers: bool = False) -> WarmUp:
        """
        Load the model and do the work that the first query would otherwise wait for; see the encoder's ``warm_up``.

        :param compile_layers: let PyTorch compile the layers, which takes half a minute or more.
        :returns: the steps after loading and their seconds; ``print`` shows them.
        """
        return self._loaded().warm_up(resolve_instruction(self.instruction), compile_layers=compile_layers)

    def close(self) -> None:
        """Release the model; the next call loads it again. Closing twice does nothing."""
        self._engine.release()

    def __copy__(self) -> Self:
        copied = super().__copy__()
        copied._engine = LazyEngine()  # each copy needs its own lease, because each copy can be closed
        return copied

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {**state, "__dict__": {**state["__dict__"], "token": None}}
