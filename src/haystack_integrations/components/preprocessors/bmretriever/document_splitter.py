"""Define the Haystack component that cuts documents into passages."""

from __future__ import annotations

import inspect
from copy import deepcopy
from typing import Any, Self

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.utils import Secret
from haystack.utils.auth import TokenSecret

from bmretriever_integrations.encoder.passage_counter import PassageCounter
from bmretriever_integrations.passages.splitter import PassageSplitter, check_numbers
from bmretriever_integrations.prompts import embedded_fields
from bmretriever_integrations.settings import EncoderSettings

DEFAULT_TOKEN = Secret.from_env_var(["HF_API_TOKEN", "HF_TOKEN"], strict=False)


@component
class BMRetrieverDocumentSplitter:
    """
    Cuts documents at ends of sentences into passages that BMRetriever's document embedder embeds whole.

    It counts tokens as the model does, the template and the meta fields included. Give it the model, ``meta_fields_to_embed``,
    ``embedding_separator``, ``prefix``, ``suffix`` and ``max_length`` of the embedder that comes after it. It loads the model's
    tokenizer and no weights.

    Usage example:

    ```python
    from haystack import Document
    from haystack_integrations.components.preprocessors.bmretriever import BMRetrieverDocumentSplitter

    splitter = BMRetrieverDocumentSplitter(model="mini", meta_fields_to_embed=["title"])
    article = Document(content="Fever is a sign of infection. " * 200, meta={"title": "Fever"})
    documents = splitter.run([article])["documents"]
    ```
    """

    def __init__(
        self,
        *,
        model: str = "BMRetriever/BMRetriever-410M",
        token: Secret | None = DEFAULT_TOKEN,
        prefix: str = "",
        suffix: str = "",
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = " ",
        max_tokens: int | None = None,
        overlap: int = 0,
        local_files_only: bool = False,
        revision: str | None = None,
        max_length: int = 512,
    ) -> None:
        """
        Create the component; nothing is loaded before :meth:`warm_up` or the first run.

        :param model: a hub id, a short name ("410M", "1B", "2B", "7B", "small", "mini"), or the folder of a checkpoint.
        :param token: access token for the hub; it is read at warm-up.
        :param prefix: the embedder's text before the document's text.
        :param suffix: the embedder's text after the document's text.
        :param meta_fields_to_embed: the meta fields that the embedder puts before the content, e.g. ["title"].
        :param embedding_separator: the embedder's text between meta fields and content.
        :param max_tokens: the most tokens of a passage's own text; None for as many as fit beside the meta fields.
        :param overlap: the tokens that a passage may have in common with the one before it: whole sentences from its end.
        :param local_files_only: do not connect to the hub.
        :param revision: commit, branch or tag on the hub; None takes the pinned commit of a released checkpoint.
        :param max_length: the embedder's tokens of a text, special tokens included.
        :raises ValueError: if a value is not allowed.
        :raises TypeError: if a value has the wrong type.
        """
        for name, value in (("prefix", prefix), ("suffix", suffix), ("embedding_separator", embedding_separator)):
            if not isinstance(value, str):
                raise TypeError(f"{name} must be a str, got {value!r}")
        if isinstance(meta_fields_to_embed, str):
            raise TypeError(f"meta_fields_to_embed must be a list of str: write [{meta_fields_to_embed!r}]")
        if token is not None and not isinstance(token, Secret):  # the value is not shown, it may be a real token
            raise TypeError(
                f"token must be a haystack.utils.Secret or None, got {type(token).__name__}: write "
                "Secret.from_env_var('HF_TOKEN')"
            )
        check_numbers(max_tokens, overlap)
        settings = EncoderSettings(
            model=model, revision=revision, max_length=max_length, local_files_only=local_files_only
        )
        self.model = settings.model
        self.token = token
        self.prefix = prefix
        self.suffix = suffix
        self.meta_fields_to_embed = list(meta_fields_to_embed or [])
        self.embedding_separator = embedding_separator
        self.max_tokens = max_tokens
        self.overlap = overlap
        self.local_files_only = local_files_only
        self.revision = revision
        self.max_length = max_length
        self._splitter: PassageSplitter | None = None

    def warm_up(self) -> None:
        """
        Load the model's tokenizer. If it is already loaded, this does nothing.

        :raises FileNotFoundError: if the model is neither on this machine nor on the hub, or the hub cannot be reached.
        :raises ValueError: if ``max_tokens`` or ``overlap`` does not fit the model.
        """
        self._warm()

    def _warm(self) -> PassageSplitter:
        splitter = self._splitter
        if splitter is None:
            counter = PassageCounter(
                self.model,
                revision=self.revision,
                max_length=self.max_length,
                local_files_only=self.local_files_only,
                token=self.token.resolve_value() if self.token else None,
            )
            splitter = self._splitter = PassageSplitter(counter, max_tokens=self.max_tokens, overlap=self.overlap)
        return splitter

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """
        Cut documents into passages.

        :param documents: the documents; they are not changed.
        :returns: a dictionary with the key ``documents``: the passages in their order. Each has the meta of its document, and
            the document's id as ``source_id``, its number as ``split_id``, its first character in the document as
            ``split_idx_start``, and the page on which it begins as ``page_number``, counted by form feeds, as Haystack's
            DocumentSplitter has them. Meta fields that would take more than half of what the model embeds are shortened in the
            passages, with a warning. A document without text stays one document.
        :raises TypeError: if ``documents`` is not a list of Documents.
        :raises ValueError: if a text holds a lone surrogate.
        """
        if not isinstance(documents, list) or not all(isinstance(document, Document) for document in documents):
            raise TypeError("BMRetrieverDocumentSplitter expects a list of Documents as input.")
        splitter = self._warm()
        return {"documents": [passage for document in documents for passage in self._passages(document, splitter)]}

    def _passages(self, document: Document, splitter: PassageSplitter) -> list[Document]:
        text = document.content or ""
        meta = {**document.meta, **self._short_fields(document, splitter)}
        before, after = self._around(meta)
        return [
            Document(
                content=text[begin:end],
                meta={
                    **deepcopy(meta),
                    "source_id": document.id,
                    "page_number": 1 + text.count("\f", 0, begin),
                    "split_id": number,
                    "split_idx_start": begin,
                },
            )
            for number, (begin, end) in enumerate(splitter.spans(text, before, after) or [(0, 0)])
        ]

    def _around(self, meta: dict[str, Any]) -> tuple[str, str]:
        """Return what the embedder puts before and after a document's text."""
        fields = [text for _, text in embedded_fields(meta, self.meta_fields_to_embed)]
        return self.prefix + self.embedding_separator.join([*fields, ""]), self.suffix

    def _short_fields(self, document: Document, splitter: PassageSplitter) -> dict[str, str]:
        """Shorten the meta fields that leave too little room for the text."""
        if splitter.has_room("".join(self._around(document.meta))):
            return {}
        fields = embedded_fields(document.meta, self.meta_fields_to_embed)
        fixed = self.prefix + self.embedding_separator * len(fields) + self.suffix
        return splitter.shortened_fields(fields, fixed)

    def to_dict(self) -> dict[str, Any]:
        """
        Serialize the component.

        :returns: type and init parameters, without the token's value.
        :raises ValueError: if the token is a plain string. A token of ``Secret.from_env_var`` can be serialized.
        """
        names = [name for name in inspect.signature(type(self).__init__).parameters if name != "self"]
        return default_to_dict(self, **{name: deepcopy(getattr(self, name)) for name in names})

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """
        Create a component from the result of :meth:`to_dict`.

        :param data: the result of :meth:`to_dict`.
        :returns: the component, without a loaded tokenizer.
        """
        return default_from_dict(cls, data)

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self.token, TokenSecret):
            raise ValueError("Cannot pickle token-based secret. Use Secret.from_env_var, which is read at warm-up.")
        return {**vars(self), "_splitter": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        vars(copied).update(deepcopy({**vars(self), "_splitter": None}, memo))
        return copied
