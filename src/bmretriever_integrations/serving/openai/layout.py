"""Writes embeddings in OpenAI's form."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.serving.admission import cut_texts, read_tokens
from bmretriever_integrations.serving.answers import Layout
from bmretriever_integrations.serving.asked import note
from bmretriever_integrations.serving.embedder import Embedder
from bmretriever_integrations.serving.json_response import as_json
from bmretriever_integrations.serving.openai.forms import EmbeddingsForm


def layout_of(form: EmbeddingsForm, embedder: Embedder) -> Layout:
    """
    Lay out the answer to a request.

    :param form: the request.
    :param embedder: embeds its texts.
    """
    most = embedder.encoder.settings.max_length

    def items(vectors: Vectors, first: int) -> bytes:
        finished = embedder.finished(vectors, form.dimensions)
        embeddings = map(_in_base64, finished) if form.encoding_format == "base64" else finished
        return as_json([_item(number, embedding) for number, embedding in enumerate(embeddings, first)])[1:-1]

    def tail(lengths: Sequence[int]) -> bytes:
        tokens = sum(read_tokens(lengths, most))
        rest: dict[str, object] = {"model": form.model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
        if cut := cut_texts(lengths, most):
            rest["cut_texts"] = cut
            note([], len(cut))
        return b"]," + as_json(rest)[1:]

    return Layout(b'{"object":"list","data":[', items, tail)


def _item(number: int, embedding: object) -> dict[str, object]:
    return {"object": "embedding", "index": number, "embedding": embedding}


def _in_base64(vector: np.ndarray) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
