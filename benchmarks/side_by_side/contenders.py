"""Who is measured: this engine, and what a user would otherwise run. Each gets the template, so that all vectors are equal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, PASSAGE_PREFIX, query_prompt
from side_by_side.texts import Passage

Vectors = NDArray[np.float32]
QUERY_PREFIX = query_prompt(DEFAULT_INSTRUCTION, "")


class Contender:
    """One way to embed. ``checkpoint`` is a folder as the released ones, ``exported`` the one for sentence-transformers."""

    label: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    """Modules that must be installed."""
    one_by_one: ClassVar[bool] = False
    """Whether a user has to give it queries one at a time."""

    def __init__(self, checkpoint: Path, exported: Path, device: str, dtype: str) -> None:
        raise NotImplementedError

    def passages(self, passages: Sequence[Passage]) -> Vectors:
        """Embed titles and texts. *Shape:* (n, width) float32."""
        raise NotImplementedError

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Embed queries. *Shape:* (n, width) float32."""
        raise NotImplementedError

    def networks(self) -> list[torch.nn.Module]:
        """Its networks, whose equal weights contenders may share; ours keeps its own."""
        return []

    def settings(self) -> dict[str, Any]:
        """What was chosen, for the record."""
        return {}

    def dtype(self) -> str:
        """Number type that it computes in."""
        return str(next(self.networks()[0].parameters()).dtype).removeprefix("torch.")

    def tune(self, run: Callable[[], Vectors], sizes: Sequence[int]) -> None:
        """Find the best settings for what is to be measured, if it has any to find."""

    def like(self, other: Contender) -> None:
        """Take over what another of the same kind found."""


class Ours(Contender):
    """The engine as it is by default."""

    label = "bmretriever-integrations"

    def __init__(self, checkpoint: Path, exported: Path, device: str, dtype: str) -> None:  # noqa: ARG002
        self.encoder = BMRetrieverEncoder(checkpoint, device=device, dtype=dtype, local_files_only=True)

    def passages(self, passages: Sequence[Passage]) -> Vectors:
        """By ``encode_passages``."""
        return self.encoder.encode_passages([text for _, text in passages], [title for title, _ in passages])

    def queries(self, texts: Sequence[str]) -> Vectors:
        """By ``encode_queries``."""
        return self.encoder.encode_queries(texts)

    def settings(self) -> dict[str, Any]:
        """What the engine chose, without the folder's name."""
        return {"engine": repr(self.encoder).split(", ", 1)[1]}

    def dtype(self) -> str:
        """Of its weights."""
        return str(self.encoder.dtype).removeprefix("torch.")


class STDefault(Contender):
    """sentence-transformers as users run it: model and prompt, everything else as it comes."""

    label = "sentence-transformers, defaults"
    needs = ("sentence_transformers",)

    def __init__(self, checkpoint: Path, exported: Path, device: str, dtype: str) -> None:  # noqa: ARG002
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(exported), device=device)

    def passages(self, passages: Sequence[Passage]) -> Vectors:
        """In batches of 32."""
        return self.model.encode([f"{title} {text}" for title, text in passages], prompt=PASSAGE_PREFIX)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """In batches of 32."""
        return self.model.encode(list(texts), prompt=QUERY_PREFIX)

    def networks(self) -> list[torch.nn.Module]:
        """The one inside the Transformer module."""
        return [self.model[0].model]


class STBest(Contender):
    """sentence-transformers at its best: our dtype, the fastest attention and batch size of those it can have."""

    label = "sentence-transformers, at its best"
    needs = ("sentence_transformers",)

    def __init__(self, checkpoint: Path, exported: Path, device: str, dtype: str) -> None:  # noqa: ARG002
        from sentence_transformers import SentenceTransformer
        from transformers.utils import is_flash_attn_2_available

        flash = device.startswith("cuda") and dtype != "float32" and is_flash_attn_2_available()
        self.models = {
            attention: SentenceTransformer(
                str(exported), device=device, model_kwargs={"dtype": dtype, "attn_implementation": attention}
            )
            for attention in ("sdpa", *(("flash_attention_2",) if flash else ()))
        }
        self.attention, self.batch_size = "sdpa", 32
        self.tried: dict[str, float] = {}

    def passages(self, passages: Sequence[Passage]) -> Vectors:
        """In batches of the best size."""
        return self._encode([f"{title} {text}" for title, text in passages], PASSAGE_PREFIX)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """In batches of the best size."""
        return self._encode(list(texts), QUERY_PREFIX)

    def _encode(self, texts: list[str], prompt: str) -> Vectors:
        return self.models[self.attention].encode(texts, prompt=prompt, batch_size=self.batch_size)

    def tune(self, run: Callable[[], Vectors], sizes: Sequence[int]) -> None:
        """
        Time every attention and batch size twice, in two passes, and keep the one with the best time.

        :param run: what is to be measured; it brings its vectors back to the host, so nothing is left running.
        :param sizes: batch sizes.
        """
        self.tried = {}
        for attention in self.models:
            self.attention, self.batch_size = attention, sizes[len(sizes) // 2]
            run()  # nobody times what warms all up
            for size in (*sizes, *sizes):
                self.batch_size = size
                start = time.perf_counter()
                run()
                seconds, name = time.perf_counter() - start, f"{attention}, batches of {size}"
                self.tried[name] = min(seconds, self.tried.get(name, seconds))
        self.attention, best = min(self.tried, key=self.tried.__getitem__).split(", batches of ")
        self.batch_size = int(best)

    def like(self, other: Contender) -> None:
        """
        Take over the other's attention and batch size.

        :param other: one that was tuned.
        """
        if isinstance(other, STBest):
            self.attention, self.batch_size, self.tried = other.attention, other.batch_size, other.tried

    def networks(self) -> list[torch.nn.Module]:
        """One for each attention."""
        return [model[0].model for model in self.models.values()]

    def settings(self) -> dict[str, Any]:
        """The choice, and the seconds of every trial."""
        return {"attention": self.attention, "batch_size": self.batch_size, "tried": self.tried}


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


def installed(kind: type[Contender]) -> bool:
    """
    Tell whether everything that a contender needs is installed.

    :param kind: of contender.
    """
    try:
        return all(find_spec(module) is not None for module in kind.needs)
    except ModuleNotFoundError:  # of a parent package
        return False
