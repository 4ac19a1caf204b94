"""Adds vectors to batches of columns, for Ray Data's ``map_batches``, which creates the class once in each actor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.checkpoints.fingerprint import fingerprint_on_disk
from bmretriever_integrations.prompts import resolve_instruction
from bmretriever_integrations.settings import MAX_LENGTH, EncoderSettings

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder

KINDS = ("passages", "queries")


class BMRetrieverBatchEmbedder:
    """
    Adds a column of vectors to a batch of columns.

    .. code-block:: python

        dataset.map_batches(
            BMRetrieverBatchEmbedder,
            fn_constructor_kwargs={"model": "410M", "title_column": "title"},
            batch_size=4096,
            compute=ray.data.ActorPoolStrategy(size=8),
            num_gpus=1,
        )

    All arguments are plain values, the first batch loads the model, and a pickle of this object contains no weights.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        kind: Literal["passages", "queries"] = "passages",
        text_column: str = "text",
        title_column: str | None = None,
        output_column: str = "vector",
        revision: str | None = None,
        device: str | None = None,
        dtype: str = "auto",
        quantization: str | None = None,
        max_length: int = MAX_LENGTH,
        instruction: str | None = None,
        normalize: bool = False,
        truncate_dim: int | None = None,
        max_batch_tokens: int | None = None,
        forward: str = "auto",
        local_files_only: bool = False,
        token: str | None = None,
    ) -> None:
        """
        Store the settings; nothing is loaded yet.

        :class:`~bmretriever_integrations.BMRetrieverEncoder` explains the engine's settings in full.

        :param model: a hub id, a short name, or a folder that every machine has.
        :param kind: "passages" or "queries"; queries get the instruction.
        :param text_column: name of the column of texts.
        :param title_column: name of the column of the passages' titles, which may contain nulls; None means that the passages
            have no titles.
        :param output_column: name of the column to add.
        :param revision: commit, branch or tag on the hub.
        :param device: None takes the GPU that Ray gave the actor, else the CPU.
        :param dtype: "auto", "float32", "bfloat16" or "float16".
        :param quantization: the number type of the linear layers: "int8", "fp8", or None for ``dtype``.
        :param max_length: tokens of a sequence.
        :param instruction: the task of the queries: a task key or a sentence.
        :param normalize: scale vectors to length 1.
        :param truncate_dim: keep this many leading dimensions.
        :param max_batch_tokens: tokens of an engine's batch; None chooses by the device's free memory.
        :param forward: the way to run the network.
        :param local_files_only: do not connect to the hub.
        :param token: access token for the hub. A pickle does not contain it: set HF_TOKEN on the other machines.
        :raises ValueError: if a setting is out of range, or if ``kind`` does not use it.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
        if kind == "queries" and title_column is not None:
            raise ValueError(f"queries have no titles: title_column={title_column!r} is for kind='passages'")
        if kind == "passages" and instruction is not None:
            raise ValueError(f"passages take no instruction: instruction={instruction!r} is for kind='queries'")
        self.kind, self.text_column, self.title_column, self.output_column = (
            kind,
            text_column,
            title_column,
            output_column,
        )
        self.instruction = resolve_instruction(instruction)
        self.settings = EncoderSettings(
            model=model,
            revision=revision,
            device=device,
            dtype=dtype,
            quantization=quantization,
            max_length=max_length,
            normalize=normalize,
            truncate_dim=truncate_dim,
            max_batch_tokens=max_batch_tokens,
            forward=forward,
            local_files_only=local_files_only,
            token=token,
        )
        self._encoder: BMRetrieverEncoder | None = None
        self._fingerprint: str | None = None  # of the weights, where this object was pickled

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """
        Embed a batch.

        :param batch: maps each column's name to its values, an ndarray or a list, as Ray's default ``batch_format="numpy"`` does.
        :returns: the same columns and the column of vectors. *Shape:* (n, width) float32
        :raises KeyError: if a column is missing.
        :raises TypeError: if the batch is not a mapping, or a text is not a string.
        :raises ValueError: if the batch already has a column with the output's name.
        """
        if not isinstance(batch, Mapping):
            raise TypeError(
                f"a batch must map column names to arrays, got {type(batch).__name__}: use batch_format='numpy'"
            )
        if self.output_column in batch:
            raise ValueError(f"the batch has a column {self.output_column!r} already; choose another output_column")
        texts = self._column(batch, self.text_column)
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(
                    f"row {row} of column {self.text_column!r} is {text!r} and not a text; replace it (an empty text is "
                    "accepted), or leave such rows out"
                )
        encoder = self.engine()
        if self.kind == "queries":
            vectors = encoder.encode_queries(texts, self.instruction)
        else:
            titles = None if self.title_column is None else self._column(batch, self.title_column)
            vectors = encoder.encode_passages(texts, titles)
        return {**batch, self.output_column: vectors}

    def _column(self, batch: Mapping[str, Any], name: str) -> list[Any]:
        if name not in batch:
            raise KeyError(f"the batch has no column {name!r}; it has {', '.join(map(repr, batch))}")
        values: Sequence[Any] = batch[name]
        return list(values)

    def engine(self) -> BMRetrieverEncoder:
        """
        Return the engine, which is loaded by the first call.

        :raises ValueError: if the model has other weights here than where this object was pickled.
        """
        if self._encoder is None:
            from bmretriever_integrations.encoder import BMRetrieverEncoder

            encoder = BMRetrieverEncoder.from_settings(self.settings)
            if self._fingerprint not in (None, encoder.fingerprint):
                encoder.close()
                raise ValueError(
                    f"{self.settings.model!r} has other weights here than where this embedder was sent from (fingerprints "
                    f"{encoder.fingerprint[:16]} and {str(self._fingerprint)[:16]}): copy the same model to all machines"
                )
            self._encoder = encoder
        return self._encoder

    def __getstate__(self) -> dict[str, Any]:
        # Data sets of the hub name a cached result by the pickle of the function, so the pickle names the weights.
        known = self._encoder.fingerprint if self._encoder else None
        on_disk = fingerprint_on_disk(self.settings.model, self.settings.revision)
        return {**self.__dict__, "_encoder": None, "_fingerprint": known or self._fingerprint or on_disk}

    def __repr__(self) -> str:
        columns = (
            f"{self.text_column!r}" if self.title_column is None else f"{self.title_column!r} and {self.text_column!r}"
        )
        return f"BMRetrieverBatchEmbedder({self.settings.model!r}, {self.kind} of {columns} -> {self.output_column!r})"
