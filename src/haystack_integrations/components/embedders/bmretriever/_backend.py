"""Connect a component with the shared engine, and apply the options of one call."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import transformers.models.llama.modeling_llama  # noqa: F401
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer  # noqa: F401

from bmretriever_integrations.encoder.sharing import EngineLease
from bmretriever_integrations.encoder.vectors import finish
from bmretriever_integrations.precision import Precision, quantize
from bmretriever_integrations.settings import EncoderSettings

# Importing transformers takes seconds and creates hundreds of thousands of objects; a full garbage collection then stops every
# thread for 0.2 s and more. Both happen here, when the component's module is imported. The next full collection comes only when
# the number of objects has grown by a quarter, so loading a model on a worker thread (some 15,000 objects) does not block an
# event loop.
gc.collect()


class _BMRetrieverEmbeddingBackendFactory:
    """Makes backends. Tests replace it by their own factory."""

    @staticmethod
    def get_embedding_backend(
        settings: EncoderSettings, instruction: str | None = None
    ) -> _BMRetrieverEmbeddingBackend:
        """
        Make a backend. It loads the engine, or shares the engine of components with equal settings.

        :param settings: the settings of the engine.
        :param instruction: the instruction of the queries; None makes a backend for passages.
        :raises FileNotFoundError: if the model is not found.
        """
        return _BMRetrieverEmbeddingBackend(EngineLease(settings), instruction)


class _BMRetrieverEmbeddingBackend:
    """Embeds queries, or passages, with a shared engine."""

    def __init__(self, lease: EngineLease, instruction: str | None) -> None:
        self.lease = lease
        self.instruction = instruction

    def embed(
        self,
        data: list[str],
        *,
        batch_size: int,
        show_progress_bar: bool,
        normalize_embeddings: bool,
        precision: Precision = "float32",
        quantization_ranges: list[list[float]] | None = None,
        instruction: str | None = None,
    ) -> NDArray[Any]:
        """
        Embed texts.

        :param data: the texts, without template.
        :param batch_size: a batch has at most as many tokens as this number of texts of full length, so it may hold more short
            texts.
        :param show_progress_bar: show a progress bar for this call.
        :param normalize_embeddings: scale the vectors to length 1.
        :param precision: see :func:`bmretriever_integrations.precision.quantize`.
        :param quantization_ranges: the ``ranges`` of :func:`bmretriever_integrations.precision.quantize`.
        :param instruction: the instruction of the queries, instead of the backend's own instruction.
        :returns: *Shape:* (n, width), see :func:`~bmretriever_integrations.precision.quantize`.
        """
        engine = self.lease.engine
        call = engine.view(progress=show_progress_bar, max_batch_tokens=batch_size * engine.settings.max_length)
        budget = call.max_batch_tokens
        if self.instruction is None:
            vectors = call.encode_passages(data)
        else:
            vectors = call.encode_queries(data, instruction or self.instruction)
        if call.max_batch_tokens < budget:  # the device had too little memory, so later calls get smaller batches, too
            engine.max_batch_tokens = min(engine.max_batch_tokens, call.max_batch_tokens)
        return quantize(finish(vectors, normalize_embeddings), precision, quantization_ranges)

    def width(self, precision: Precision, quantization_ranges: list[list[float]] | None) -> int:
        """
        Return the number of values of an embedding.

        :param precision: see :func:`bmretriever_integrations.precision.quantize`.
        :param quantization_ranges: the ``ranges`` of :func:`bmretriever_integrations.precision.quantize`.
        """
        row = np.zeros((1, self.lease.engine.width), np.float32)
        return int(quantize(row, precision, quantization_ranges).shape[1])

    def close(self) -> None:
        """Release the engine. It is freed when the last component releases it."""
        self.lease.release()


def as_list(row: NDArray[Any] | list[float]) -> list[float]:
    """
    Convert a vector to the list that Haystack stores in a document.

    :param row: an array, or a list from a backend that replaces this one, e.g. in a test.
    """
    values: list[float] = row.tolist() if isinstance(row, np.ndarray) else row
    return values
