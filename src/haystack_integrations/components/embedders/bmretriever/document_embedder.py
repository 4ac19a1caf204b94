"""Define the Haystack component that embeds documents."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal

from haystack import Document, component
from haystack.utils import ComponentDevice, Secret

from bmretriever_integrations.precision import Precision
from bmretriever_integrations.prompts import embedded_fields
from haystack_integrations.components.embedders.bmretriever._backend import (
    _BMRetrieverEmbeddingBackend,
    _BMRetrieverEmbeddingBackendFactory,
    as_list,
)
from haystack_integrations.components.embedders.bmretriever._lifecycle import Lifecycle
from haystack_integrations.components.embedders.bmretriever._settings import DEFAULT_TOKEN, DocumentSettings


@component
class BMRetrieverDocumentEmbedder(Lifecycle, DocumentSettings):
    """
    Embeds documents with BMRetriever, a biomedical retrieval model.

    Scores are dot products, so the document store must compare by ``dot_product`` or inner product.

    Usage example:

    ```python
    from haystack import Document
    from haystack_integrations.components.embedders.bmretriever import BMRetrieverDocumentEmbedder

    embedder = BMRetrieverDocumentEmbedder(meta_fields_to_embed=["title"])
    documents = embedder.run([Document(content="Fever is a sign of infection.", meta={"title": "Fever"})])["documents"]
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
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = " ",
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
        max_length: int = 512,
        async_executor: ThreadPoolExecutor | None = None,
    ) -> None:
        """
        Create the component; nothing is loaded before :meth:`warm_up` or the first run.

        :param model: a hub id, a short name ("410M", "1B", "2B", "7B", "small", "mini"), or the folder of a checkpoint.
        :param device: the device; None takes the fastest device of the machine, which is chosen at warm-up.
        :param token: access token for the hub; it is read at warm-up.
        :param prefix: a text that is put before the document's text.
        :param suffix: a text that is put after the document's text.
        :param batch_size: a batch has at most as many tokens as this number of texts of ``max_length`` tokens, so it may hold
            more short texts.
        :param progress_bar: show a progress bar.
        :param normalize_embeddings: scale vectors to length 1. The model's authors do not normalise.
        :param meta_fields_to_embed: the meta fields that are put before the content, e.g. ["title"]. A missing value (None, NaN,
            ``pandas.NA``) is left out.
        :param embedding_separator: the text between meta fields and content. The authors join title and text by one space.
        :param trust_remote_code: must be False, because no code from a checkpoint is run.
        :param local_files_only: do not connect to the hub.
        :param truncate_dim: keep this many leading dimensions.
        :param model_kwargs: may contain ``dtype`` or ``torch_dtype``: "auto" (the default), "float32", "bfloat16" or "float16",
            or a ``torch.dtype``; and ``quantization``: "int8" or "fp8".
        :param tokenizer_kwargs: may contain ``model_max_length``, which means the same as ``max_length``.
        :param config_kwargs: must have no keys.
        :param precision: the number type of the returned vectors: "float32", "int8", "uint8", "binary" or "ubinary".
        :param encode_kwargs: must have no keys.
        :param backend: must be "torch".
        :param revision: commit, branch or tag on the hub; None takes the pinned commit of a released checkpoint.
        :param quantization_ranges: the smallest and the largest values of a sample of the model's vectors, for int8 and uint8.
            *Shape:* (2, width)
        :param max_length: tokens of a text, special tokens included; longer texts are cut.
        :param async_executor: the executor for ``run_async`` and ``warm_up_async``; None creates one with a single thread at
            warm-up.
        :raises ValueError: if a value is not allowed.
        :raises TypeError: if a value has the wrong type.
        """
        DocumentSettings.__init__(self, **{name: value for name, value in locals().items() if name != "self"})
        self._start_cold()

    def _open_backend(self) -> _BMRetrieverEmbeddingBackend:
        return _BMRetrieverEmbeddingBackendFactory.get_embedding_backend(self.engine_settings())

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """
        Embed documents.

        :param documents: the documents; they are not changed.
        :returns: a dictionary with the key ``documents``: copies with their embeddings, in the same order.
        :raises TypeError: if ``documents`` is not a list of Documents.
        """
        _check_run(documents)
        if not documents:
            return {"documents": []}
        embeddings = self._embed([self._text_of(document) for document in documents])
        pairs = zip(documents, embeddings, strict=True)
        return {"documents": [replace(document, embedding=as_list(row)) for document, row in pairs]}

    @component.output_types(documents=list[Document])
    async def run_async(self, documents: list[Document]) -> dict[str, list[Document]]:
        """
        Embed documents on the worker thread, so that the event loop is not blocked.

        :param documents: the documents; they are not changed.
        :returns: a dictionary with the key ``documents``: copies with their embeddings, in the same order.
        :raises TypeError: if ``documents`` is not a list of Documents.
        """
        _check_run(documents)
        if not documents:
            return {"documents": []}
        return await self._on_worker(self.run, documents)

    def _text_of(self, document: Document) -> str:
        fields = [text for _, text in embedded_fields(document.meta, self.meta_fields_to_embed or [])]
        return self.prefix + self.embedding_separator.join([*fields, document.content or ""]) + self.suffix


def _check_run(documents: Any) -> None:
    if not isinstance(documents, list) or not all(isinstance(document, Document) for document in documents):
        raise TypeError(
            "BMRetrieverDocumentEmbedder expects a list of Documents as input. In case you want to embed a string, please use "
            "the BMRetrieverTextEmbedder."
        )
