"""Between a component and the shared engine: what one call asks for."""

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

# Importing transformers takes seconds and makes hundreds of thousands of objects; a full garbage collection then stops every
# thread for 0.2 s and more. Both are paid here, when the component's module is imported. The next full collection is due after
# a quarter more objects, so loading a model on a worker thread (some 15,000 objects) does not stall an event loop.
gc.collect()


class _BMRetrieverEmbeddingBackendFactory:
    """Makes backends; tests put their own in its place."""

    @staticmethod
    def get_embedding_backend(
        settings: EncoderSettings, instruction: str | None = None
    ) -> _BMRetrieverEmbeddingBackend:
        """
        Load the engine, or join those who already use it.

        :param settings: the settings of the engine.
        :param instruction: what queries are for; None makes a backend for passages.
        :raises FileNotFoundError: if the model is nowhere to be found.
        """
        return _BMRetrieverEmbeddingBackend(EngineLease(settings), instruction)


class _BMRetrieverEmbeddingBackend:
    """A share in an engine, for queries or for passages."""

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
        :param batch_size: a batch takes no more memory than this many texts of full length; shorter texts fit in more.
        :param show_progress_bar: show a bar, for this call alone.
        :param normalize_embeddings: scale to length 1.
        :param precision: see :func:`bmretriever_integrations.precision.quantize`.
        :param quantization_ranges: see there.
        :param instruction: the instruction of queries, instead of the backend's own.
        :returns: *Shape:* (n, width), see :func:`~bmretriever_integrations.precision.quantize`.
        """
        engine = self.lease.engine
        call = engine.view(progress=show_progress_bar, max_batch_tokens=batch_size * engine.settings.max_length)
        budget = call.max_batch_tokens
        if self.instruction is None:
            vectors = call.encode_passages(data)
        else:
            vectors = call.encode_queries(data, instruction or self.instruction)
        if call.max_batch_tokens < budget:  # the device's memory ran out: spare the next call the same discovery
            engine.max_batch_tokens = min(engine.max_batch_tokens, call.max_batch_tokens)
        return quantize(finish(vectors, normalize_embeddings), precision, quantization_ranges)

    def close(self) -> None:
        """Let the engine go; the last one to let go frees it."""
        self.lease.release()


def as_list(row: NDArray[Any] | list[float]) -> list[float]:
    """
    Turn a row into what Haystack keeps on a document.

    :param row: an array, or a list from a backend that somebody else put in place.
    """
    values: list[float] = row.tolist() if isinstance(row, np.ndarray) else row
    return values
