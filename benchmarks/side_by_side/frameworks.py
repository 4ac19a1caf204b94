"""The frameworks' own embedders, as a user would write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bmretriever_integrations.prompts import PASSAGE_PREFIX
from side_by_side.contenders import QUERY_PREFIX, Contender, Vectors
from side_by_side.texts import Passage


class Haystack(Contender):
    """Haystack's own embedders as a user would write them: documents as a list, one query at a time."""

    label = "Haystack, SentenceTransformers embedders"
    needs = ("haystack_integrations.components.embedders.sentence_transformers",)
    one_by_one = True

    def __init__(self, checkpoint: Path, exported: Path, device: str, dtype: str) -> None:  # noqa: ARG002
        from haystack.utils import ComponentDevice
        from haystack_integrations.components.embedders.sentence_transformers import (
            SentenceTransformersDocumentEmbedder,
            SentenceTransformersTextEmbedder,
        )

        common = {"model": str(exported), "device": ComponentDevice.from_str(device), "progress_bar": False}
        self.of_text = SentenceTransformersTextEmbedder(**common, prefix=QUERY_PREFIX)
        self.of_documents = SentenceTransformersDocumentEmbedder(
            **common, prefix=PASSAGE_PREFIX, meta_fields_to_embed=["title"], embedding_separator=" "
        )
        self.of_text.warm_up()
        self.of_documents.warm_up()

    def passages(self, passages: Sequence[Passage]) -> Vectors:
        """By the document embedder."""
        from haystack import Document

        documents = [Document(content=text, meta={"title": title}) for title, text in passages]
        return np.array([d.embedding for d in self.of_documents.run(documents)["documents"]], np.float32)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """By the text embedder, which takes one."""
        return np.array([self.of_text.run(text)["embedding"] for text in texts], np.float32)

    def networks(self) -> list[torch.nn.Module]:
        """Both components share one."""
        return [self.of_documents.embedding_backend.model[0].model]


class LlamaIndex(Contender):
    """LlamaIndex's own embedding as a user would write it."""

    label = "LlamaIndex, HuggingFaceEmbedding"
    needs = ("llama_index.embeddings.huggingface",)
    one_by_one = True

    def __init__(self, checkpoint: Path, exported: Path, device: str, dtype: str) -> None:  # noqa: ARG002
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding

        self.model = HuggingFaceEmbedding(
            str(exported),
            query_instruction=QUERY_PREFIX,
            text_instruction=PASSAGE_PREFIX,
            normalize=False,
            device=device,
        )

    def passages(self, passages: Sequence[Passage]) -> Vectors:
        """By ``get_text_embedding_batch``, ten at a time."""
        texts = [f"{title} {text}" for title, text in passages]
        return np.array(self.model.get_text_embedding_batch(texts), np.float32)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """By ``get_query_embedding``, which takes one."""
        return np.array([self.model.get_query_embedding(text) for text in texts], np.float32)

    def networks(self) -> list[torch.nn.Module]:
        """The one inside its sentence-transformers model."""
        return [self.model._model[0].model]
