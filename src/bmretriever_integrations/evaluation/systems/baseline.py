"""Measure any sentence-transformers model as a baseline in the same run."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bmretriever_integrations.checkpoints.fingerprint import fingerprint
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.evaluation.systems.comparison import Ranked
from bmretriever_integrations.evaluation.systems.dense import rank_in_chunks
from bmretriever_integrations.evaluation.systems.ranking import cosines
from bmretriever_integrations.evaluation.tasks.retrieval import Task
from bmretriever_integrations.evaluation.tasks.similarity import AnyTask, SimilarityTask

SIMILARITIES = ("cosine", "dot")


def check_installed() -> None:
    """
    Check that baselines can be loaded, before anything is measured.

    :raises ImportError: if sentence-transformers is missing; the message says how to install it.
    """
    if find_spec("sentence_transformers") is None:
        raise ImportError('a baseline needs sentence-transformers: pip install "sentence-transformers>=5.6"')


def _weights(model: str) -> dict[str, str | None]:
    """Name the files that were loaded: their fingerprint and, if they came from the hub, their commit."""
    from huggingface_hub import try_to_load_from_cache

    if Path(model).is_dir():
        return {"revision": None, "files_sha256": fingerprint((Path(model),))}
    cached = try_to_load_from_cache(model, "config.json", cache_dir=os.environ.get("SENTENCE_TRANSFORMERS_HOME"))
    if not isinstance(cached, str):
        return {"revision": None, "files_sha256": None}
    snapshot = Path(cached).parent  # its name is the commit
    return {"revision": snapshot.name, "files_sha256": fingerprint((snapshot,))}


class SentenceTransformerBaseline:
    """Exact search over the vectors of one sentence-transformers model, with the prompts and the similarity in its settings."""

    def __init__(
        self,
        name: str,
        model: str,
        *,
        query_prompt: str | None = None,
        passage_prompt: str | None = None,
        device: str | None = None,
        progress: bool = False,
    ) -> None:
        """
        Load the model.

        :param name: the name of the system in the report.
        :param model: folder or hub id.
        :param query_prompt: the text before each query; None takes the model's own prompt, if it has one.
        :param passage_prompt: the text before each passage; None takes the model's own prompt, if it has one.
        :param device: e.g. "cuda:1"; None takes the fastest device of the machine.
        :param progress: show a progress bar while encoding.
        :raises ImportError: if sentence-transformers is missing; the message says how to install it.
        :raises ValueError: if the model's similarity is neither cosine nor dot product.
        """
        check_installed()
        import sentence_transformers

        self.name = name
        self._model = sentence_transformers.SentenceTransformer(model, device=device)
        similarity = self._model.similarity_fn_name or "cosine"
        if similarity not in SIMILARITIES:
            raise ValueError(f"{model} ranks by {similarity}; a baseline must rank by {' or '.join(SIMILARITIES)}")
        self._prompts = query_prompt, passage_prompt
        self._normalize = similarity == "cosine"
        self._progress = progress
        self._settings = {
            "model": model,
            **_weights(model),
            "similarity": similarity,
            "max_seq_length": self._model.max_seq_length,
            "query_prompt": self._own("query") if query_prompt is None else query_prompt,
            "passage_prompt": self._own("document") if passage_prompt is None else passage_prompt,
            "device": str(self._model.device),
            "sentence-transformers": sentence_transformers.__version__,
        }

    def settings(self, task: AnyTask) -> dict[str, Any]:  # noqa: ARG002  the same for every task
        """Return everything that decides the ranking, and the device."""
        return self._settings

    def rank(self, task: Task, depth: int) -> Ranked:
        """
        Embed the task's queries and documents, and rank the documents.

        :param task: the task.
        :param depth: the number of documents to keep for each query.
        """
        queries = self._encode(list(task.queries.values()), passages=False)

        def embed(documents: list[Record]) -> Vectors:
            return self._encode([f"{d.title} {d.text}".strip() for d in documents], passages=True)

        return rank_in_chunks(task, queries, embed, depth)

    def similarities(self, task: SimilarityTask) -> Vectors:
        """
        Embed both sentences of each pair as queries.

        :param task: the task.
        :returns: *Shape:* (pairs,) float32 cosine of each pair's vectors.
        """
        return cosines(self._encode(task.left, passages=False), self._encode(task.right, passages=False))

    def _encode(self, texts: list[str], passages: bool) -> Vectors:
        encode = self._model.encode_document if passages else self._model.encode_query
        vectors = encode(
            texts,
            prompt=self._prompts[passages],
            normalize_embeddings=self._normalize,
            show_progress_bar=self._progress,
        )
        return np.asarray(vectors, np.float32)

    def _own(self, kind: str) -> str:
        names = [kind] if kind == "query" else [kind, "passage", "corpus"]
        return next((self._model.prompts[name] for name in names if self._model.prompts.get(name)), "")
