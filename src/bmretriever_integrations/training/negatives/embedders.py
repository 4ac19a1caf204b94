"""The models that can mine: any sentence-transformers model, and our own encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from bmretriever_integrations.encoder import BMRetrieverEncoder
from bmretriever_integrations.settings import MAX_LENGTH
from bmretriever_integrations.training.negatives.dense import DenseMiner, Embedder, Vectors
from bmretriever_integrations.training.negatives.miner import Miner

MINERS = ("bm25", "sentence-transformers:MODEL", "bmretriever:MODEL")
PROBE = "Metformin lowers blood glucose in type 2 diabetes."
"""A text whose vectors tell models apart: weights may change under an unchanged name."""


class SentenceTransformerEmbedder:
    """Embeds with any sentence-transformers model; the model's similarity decides whether vectors are scaled to length 1."""

    def __init__(
        self,
        model: str,
        *,
        query_prefix: str | None = None,
        passage_prefix: str | None = None,
        max_length: int | None = None,
        device: str | None = None,
        batch_size: int = 64,
    ) -> None:
        """
        :param model: a hub id or a folder.
        :param query_prefix: text before a query, e.g. E5's ``"query: "``; ``{instruction}`` in it becomes the pair's
            instruction, e.g. E5-Mistral's ``"Instruct: {instruction}\\nQuery: "``. None takes the prompt that the model
            itself has for queries, if it has one.
        :param passage_prefix: text before a passage, e.g. E5's ``"passage: "``; None takes the model's own, if it has one.
        :param max_length: most tokens of a text, longer ones are cut; None takes the model's own limit.
        :param device: e.g. "cuda:1"; None takes the best device of the machine.
        :param batch_size: number of texts embedded together.
        :raises ValueError: if a number is out of range, or the model's similarity is neither cosine nor dot product.
        """
        from sentence_transformers import SentenceTransformer

        for name, value in (("max_length", max_length), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.name = model
        self._model = SentenceTransformer(model, device=device)
        limit = self._model.max_seq_length
        if max_length is not None and limit is not None and max_length > limit:
            raise ValueError(f"max_length must be at most {limit}, the limit of {model}, got {max_length}")
        if max_length is not None:
            self._model.max_seq_length = max_length
        similarity = str(self._model.similarity_fn_name)
        if similarity not in ("cosine", "dot"):
            raise ValueError(f"{model} compares by {similarity}; a miner needs cosine or dot")
        self._normalize = similarity == "cosine"
        self._prefixes = (query_prefix, passage_prefix)
        self._batch_size = batch_size

    def settings(self) -> dict[str, Any]:
        """As :meth:`Embedder.settings`."""
        return {
            "miner": "sentence-transformers",
            "model": self.name,
            "vectors": _fingerprint(self),
            "query_prefix": self._prefixes[0],
            "passage_prefix": self._prefixes[1],
            "max_length": self._model.max_seq_length,
            "batch_size": self._batch_size,
            "normalize": self._normalize,
        }

    def queries(self, texts: Sequence[str], instruction: str) -> Vectors:
        """As :meth:`Embedder.queries`."""
        prefix = self._prefixes[0]
        prompt = None if prefix is None else prefix.replace("{instruction}", instruction)
        return self._encode(self._model.encode_query, texts, prompt)

    def passages(self, texts: Sequence[str]) -> Vectors:
        """As :meth:`Embedder.passages`."""
        return self._encode(self._model.encode_document, texts, self._prefixes[1])

    def _encode(self, encode: Any, texts: Sequence[str], prompt: str | None) -> Vectors:
        vectors: Vectors = encode(
            list(texts),
            prompt=prompt,
            batch_size=self._batch_size,
            normalize_embeddings=self._normalize,
            show_progress_bar=False,
        )
        return vectors.astype(np.float32, copy=False)


class BMRetrieverEmbedder:
    """Embeds with our own encoder: queries with the pair's instruction, passages with the passage template, dot product."""

    def __init__(self, model: str, *, max_length: int | None = None, device: str | None = None) -> None:
        """
        :param model: as :class:`BMRetrieverEncoder` takes it.
        :param max_length: most tokens of a prompt, longer ones are cut; None takes 512.
        :param device: e.g. "cuda:1"; None takes the best device of the machine.
        """
        self.name = model
        self._encoder = BMRetrieverEncoder(
            model, device=device, max_length=MAX_LENGTH if max_length is None else max_length
        )

    def settings(self) -> dict[str, Any]:
        """As :meth:`Embedder.settings`."""
        length = self._encoder.settings.max_length
        return {"miner": "bmretriever", "model": self.name, "vectors": _fingerprint(self), "max_length": length}

    def queries(self, texts: Sequence[str], instruction: str) -> Vectors:
        """As :meth:`Embedder.queries`."""
        return self._encoder.encode_queries(texts, instruction)

    def passages(self, texts: Sequence[str]) -> Vectors:
        """As :meth:`Embedder.passages`."""
        return self._encoder.encode_passages(texts)


def _fingerprint(embedder: Embedder) -> str:
    vectors = (embedder.queries([PROBE], f"Given a question, {PROBE}"), embedder.passages([PROBE]))
    return hashlib.sha256(b"".join(part.tobytes() for part in vectors)).hexdigest()[:16]


def load_miner(
    name: str,
    *,
    query_prefix: str | None = None,
    passage_prefix: str | None = None,
    max_length: int | None = None,
    device: str | None = None,
) -> Miner:
    """
    Make the miner that a command line names.

    :param name: ``bm25``, ``sentence-transformers:MODEL`` or ``bmretriever:MODEL``.
    :param query_prefix: for a sentence-transformers model (:class:`SentenceTransformerEmbedder`).
    :param passage_prefix: for a sentence-transformers model.
    :param max_length: most tokens of a text, for a model.
    :param device: where a model runs.
    :raises ValueError: if the name is none of these, or a setting is given that the miner does not have.
    """
    kind, _, model = name.partition(":")
    if (f"{kind}:MODEL" not in MINERS and name != "bm25") or (kind != "bm25" and not model):
        raise ValueError(f"miner must be one of {', '.join(MINERS)}, got {name!r}")
    prefixes = {"query_prefix": query_prefix, "passage_prefix": passage_prefix}
    common = {"max_length": max_length, "device": device}
    given = [setting for setting, value in {**prefixes, **common}.items() if value is not None]
    known = {"bm25": [], "bmretriever": [*common], "sentence-transformers": [*prefixes, *common]}[kind]
    wrong = [setting for setting in given if setting not in known]
    if wrong:
        raise ValueError(f"{kind} has no {', '.join(wrong)}; leave it out")
    if kind == "bm25":
        from bmretriever_integrations.training.negatives.lexical import Bm25Miner

        return Bm25Miner()
    if kind == "bmretriever":
        return DenseMiner(BMRetrieverEmbedder(model, max_length=max_length, device=device))
    embedder = SentenceTransformerEmbedder(
        model, query_prefix=query_prefix, passage_prefix=passage_prefix, max_length=max_length, device=device
    )
    return DenseMiner(embedder)
