"""Define BMRetrieverNodeParser, which cuts documents into nodes that BMRetrieverEmbedding embeds whole."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from llama_index.core.bridge.pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)
from llama_index.core.node_parser import TextSplitter
from llama_index.core.node_parser.node_utils import build_nodes_from_splits, default_id_func
from llama_index.core.schema import BaseNode, Document, MetadataMode, TextNode
from llama_index.core.utils import get_tqdm_iterable

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.encoder.passage_counter import PassageCounter
from bmretriever_integrations.llama_index.ingestion_key import texts_being_cached
from bmretriever_integrations.passages.splitter import PassageSplitter, check_numbers
from bmretriever_integrations.settings import MAX_LENGTH, EncoderSettings, path_as_text

MARK = "\ue000\uf8ff\ue000"
"""Stands for a text where only what is around it is wanted: private characters that are in no template."""


class BMRetrieverNodeParser(TextSplitter):
    """
    Cuts documents at ends of sentences into nodes that BMRetriever embeds whole.

    It counts tokens as the model does, with the metadata that LlamaIndex embeds beside the text. Give it documents from
    :func:`prepare_nodes`, of which title and text alone are embedded. It loads the model's tokenizer and no weights.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)  # the input may hold a token

    model_name: str = Field(
        default=DEFAULT_MODEL, description='Hub id, short name ("410M", "1B", "2B", "7B", "small", "mini") or folder.'
    )
    max_tokens: int | None = Field(
        default=None, description="The most tokens of a node's own text; None for as many as fit beside its metadata."
    )
    overlap: int = Field(
        default=0, description="The tokens that a node may have in common with the one before it, in whole sentences."
    )
    max_length: int = Field(default=MAX_LENGTH, description="Tokens of a sequence, BOS and EOS included.")
    revision: str | None = Field(default=None, description="Commit, branch or tag on the hub.")
    local_files_only: bool = Field(default=False, description="Do not connect to the hub.")
    token: SecretStr | None = Field(default=None, exclude=True, repr=False, description="Access token for the hub.")

    _splitter: PassageSplitter | None = PrivateAttr(default=None)

    if not TYPE_CHECKING:  # type checkers read the fields

        def __init__(self, model_name: str | os.PathLike[str] = ..., **fields: Any) -> None:
            super().__init__(**fields, **({} if model_name is ... else {"model_name": model_name}))

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex writes into serialised settings."""
        return "BMRetrieverNodeParser"

    _take_path = field_validator("model_name", mode="before")(path_as_text)

    @field_validator("id_func", mode="before")
    @classmethod
    def _take_name(cls, value: Any) -> Any:
        """Take the default function for its name, which LlamaIndex writes when it serialises."""
        named = value.get("id_func_name") if isinstance(value, dict) else None
        return default_id_func if named == default_id_func.__name__ else value

    @model_validator(mode="before")
    @classmethod
    def _drop_class_name(cls, data: Any) -> Any:
        """Remove the name of the class, which LlamaIndex writes among the fields when it serialises."""
        if isinstance(data, dict) and data.get("class_name") == cls.class_name():
            return {key: value for key, value in data.items() if key != "class_name"}
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_numbers(self.max_tokens, self.overlap)
        EncoderSettings(model=self.model_name, revision=self.revision, max_length=self.max_length)
        return self

    def split_text(self, text: str) -> list[str]:
        """
        Cut a text without metadata.

        :param text: the text.
        :returns: the passages.
        """
        return self._warm().split(text)

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """
        Return the settings as plain values, without token.

        While LlamaIndex makes a key for the cache of an IngestionPipeline, the dictionary also names the texts, because which
        metadata is embedded decides how long nodes are.

        :param kwargs: arguments of pydantic's ``model_dump``.
        """
        data: dict[str, Any] = super().to_dict(**kwargs)
        texts = texts_being_cached()
        return data if texts is None else {**data, "texts": texts}

    def _warm(self) -> PassageSplitter:
        splitter = self._splitter
        if splitter is None:
            counter = PassageCounter(
                self.model_name,
                revision=self.revision,
                max_length=self.max_length,
                local_files_only=self.local_files_only,
                token=self.token.get_secret_value() if self.token else None,
            )
            splitter = self._splitter = PassageSplitter(counter, max_tokens=self.max_tokens, overlap=self.overlap)
        return splitter

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **_kwargs: Any) -> list[BaseNode]:
        splitter = self._warm()
        return [
            part
            for node in get_tqdm_iterable(nodes, show_progress, "Parsing nodes")
            for part in self._parts(node, splitter)
        ]

    def _parts(self, node: BaseNode, splitter: PassageSplitter) -> list[TextNode]:
        text = node.get_content(metadata_mode=MetadataMode.NONE)
        metadata = node.metadata if self.include_metadata else {}
        short = _shortened(node, metadata, splitter)
        spans = splitter.spans(text, *_around(node, {**metadata, **short})) or [(0, 0)]
        parts = build_nodes_from_splits([text[begin:end] for begin, end in spans], node, id_func=self.id_func)
        for part, (begin, end) in zip(parts, spans, strict=True):
            part.start_char_idx, part.end_char_idx = begin, end
            part.metadata = dict(short)
        return parts

    def _postprocess_parsed_nodes(self, nodes: list[BaseNode], parent_doc_map: dict[str, Document]) -> list[BaseNode]:
        # LlamaIndex searches each text in its document, and finds the wrong place of one that is there several times
        places = [(node.start_char_idx, node.end_char_idx) for node in nodes if isinstance(node, TextNode)]
        nodes = super()._postprocess_parsed_nodes(nodes, parent_doc_map)
        for node, place in zip(nodes, places, strict=True):
            if isinstance(node, TextNode):
                node.start_char_idx, node.end_char_idx = place
        return nodes

    def __getstate__(self) -> dict[str, Any]:
        # the state of a copy, because LlamaIndex's method removes what cannot be pickled from the object itself
        return super(BMRetrieverNodeParser, self.model_copy(update={"token": None})).__getstate__()


def _around(node: BaseNode, metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Return what LlamaIndex embeds before and after a node's text."""
    probe = build_nodes_from_splits([MARK], node)[0]
    probe.metadata = dict(metadata)
    before, mark, after = probe.get_content(metadata_mode=MetadataMode.EMBED).partition(MARK)
    if not mark or MARK in after:
        raise ValueError(f"text_template must name {{content}} once, got {probe.text_template!r}")
    return before, after


def _shortened(node: BaseNode, metadata: Mapping[str, Any], splitter: PassageSplitter) -> dict[str, str]:
    """Shorten metadata that leaves too little room for the text."""
    if splitter.has_room("".join(_around(node, metadata))):
        return {}
    embedded = [key for key in metadata if key not in node.excluded_embed_metadata_keys]
    fixed = "".join(_around(node, {**metadata, **dict.fromkeys(embedded, "")}))
    return splitter.shortened_fields([(key, str(metadata[key])) for key in embedded], fixed)
