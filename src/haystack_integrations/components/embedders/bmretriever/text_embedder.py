"""Define the Haystack component that embeds queries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from haystack import component
from haystack.utils import ComponentDevice, Secret

from bmretriever_integrations.precision import Precision
from bmretriever_integrations.prompts import resolve_instruction
from haystack_integrations.components.embedders.bmretriever._backend import (
    _BMRetrieverEmbeddingBackend,
    _BMRetrieverEmbeddingBackendFactory,
    as_list,
)
from haystack_integrations.components.embedders.bmretriever._lifecycle import Lifecycle
from haystack_integrations.components.embedders.bmretriever._settings import DEFAULT_TOKEN, TextSettings


@component
class BMRetrieverTextEmbedder(Lifecycle, TextSettings):
    """
    Embeds a query with BMRetriever, a biomedical retrieval model.

    Scores are dot products, so the document store must compare by ``dot_product`` or inner product.

    Usage example:

    ```python
    from haystack_integrations.components.embedders.bmretriever import BMRetrieverTextEmbedder

    embedder = BMRetrieverTextEmbedder(instruction="scifact")
    embedding = embedder.run("aspirin lowers the risk of colorectal cancer")["embedding"]
    ```
    """

    def __init__(
        self,
        *,
        model: str = "BMRetriever/BMRetriever-410M",
        device: ComponentDevice | None = None,
        token: Secret | None = DEFAULT_TOKEN,
        prefix: str = "",
        suffix: str = "",
        batch_size: int = 32,
        progress_bar: bool = True,
        normalize_embeddings: bool = False,
        trust_remote_code: bool = False,
        local_files_only: bool = False,
        truncate_dim: int | None = None,
        model_kwargs: dict[str, Any] | None = None,
        tokenizer_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        precision: Precision = "float32",
        encode_kwargs: dict[str, Any] | None = None,
        backend: Literal["torch"] = "torch",
        revision: str | None = None,
        quantization_ranges: list[list[float]] | None = None,
        instruction: str | None = None,
        max_length: int = 512,
        async_executor: ThreadPoolExecutor | None = None,
    ) -> None:
        """
        Create the component; nothing is loaded before :meth:`warm_up` or the first run.

        :param model: a hub id, a short name ("410M", "1B", "2B", "7B", "small", "mini"), or the folder of a checkpoint.
        :param device: the device; None takes the fastest device of the machine, which is chosen at warm-up.
        :param token: access token for the hub; it is read at warm-up.
        :param prefix: a text that is put before the query, after the instruction.
        :param suffix: a text that is put after the query.
        :param batch_size: a batch has at most as many tokens as this number of texts of ``max_length`` tokens.
        :param progress_bar: show a progress bar.
        :param normalize_embeddings: scale vectors to length 1. The model's authors do not normalise.
        :param trust_remote_code: must be False, because no code from a checkpoint is run.
        :param local_files_only: do not connect to the hub.
        :param truncate_dim: keep this many leading dimensions.
        :param model_kwargs: may contain ``dtype`` or ``torch_dtype``: "auto" (the default), "float32", "bfloat16" or "float16",
            or a ``torch.dtype``; and ``quantization``: "int8" or "fp8".
        :param tokenizer_kwargs: may contain ``model_max_length``, which means the same as ``max_length``.
        :param config_kwargs: must have no keys.
        :param precision: the number type of the returned vector: "float32", "int8", "uint8", "binary" or "ubinary".
        :param encode_kwargs: must have no keys.
        :param backend: must be "torch".
        :param revision: commit, branch or tag on the hub; None takes the pinned commit of a released checkpoint.
        :param quantization_ranges: the smallest and the largest values of a sample of the model's vectors, for int8 and uint8.
            *Shape:* (2, width)
        :param instruction: the task of the queries: a task key (``bmretriever_integrations.TASK_INSTRUCTIONS``) or a sentence;
            None takes the authors' instruction for biomedical questions.
        :param max_length: tokens of a text, special tokens included; longer texts are cut.
        :param async_executor: the executor for ``run_async`` and ``warm_up_async``; None creates one with a single thread at
            warm-up.
        :raises ValueError: if a value is not allowed.
        :raises TypeError: if a value has the wrong type.
        """
        TextSettings.__init__(self, **{name: value for name, value in locals().items() if name != "self"})
        self._start_cold()

    def _open_backend(self) -> _BMRetrieverEmbeddingBackend:
        return _BMRetrieverEmbeddingBackendFactory.get_embedding_backend(
            self.engine_settings(), resolve_instruction(self.instruction)
        )

    @component.output_types(embedding=list[float])
    def run(self, text: str, instruction: str | None = None) -> dict[str, Any]:
        """
        Embed a query.

        :param text: the query.
        :param instruction: a task key or a sentence that replaces the component's own instruction for this query.
        :returns: a dictionary with the key ``embedding``, a list of numbers.
        :raises TypeError: if ``text`` is not a string.
        :raises ValueError: if the instruction is empty or a mistyped key.
        """
        chosen = _check_run(text, instruction)
        embeddings = self._embed([self.prefix + text + self.suffix], **chosen)
        return {"embedding": as_list(embeddings[0])}

    @component.output_types(embedding=list[float])
    async def run_async(self, text: str, instruction: str | None = None) -> dict[str, Any]:
        """
        Embed a query on the worker thread, so that the event loop is not blocked.

        :param text: the query.
        :param instruction: a task key or a sentence that replaces the component's own instruction for this query.
        :returns: a dictionary with the key ``embedding``, a list of numbers.
        :raises TypeError: if ``text`` is not a string.
        :raises ValueError: if the instruction is empty or a mistyped key.
        """
        _check_run(text, instruction)
        return await self._on_worker(self.run, text, instruction)


def _check_run(text: Any, instruction: str | None) -> dict[str, str]:
    if not isinstance(text, str):
        raise TypeError(
            "BMRetrieverTextEmbedder expects a string as input. In case you want to embed a list of Documents, please use the "
            "BMRetrieverDocumentEmbedder."
        )
    return {} if instruction is None else {"instruction": resolve_instruction(instruction)}
