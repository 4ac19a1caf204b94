"""
The server that one writes around a model in twenty lines: FastAPI, one request at a time.

It is as well set up as ours: uvicorn with uvloop and httptools, orjson, the same number type, the right template. The model is
called in the event loop, which is the fastest way to serve one request a time. Two models: this engine, or sentence-transformers
with a folder that ``bmretriever export`` wrote.
"""

from __future__ import annotations

import os
from typing import Any

import orjson
from fastapi import FastAPI, Response
from pydantic import BaseModel

FOLDER = "PLAIN_FOLDER"
"""The environment variable that names the folder of sentence-transformers; if it is not set, this engine is served."""
DTYPE = "PLAIN_DTYPE"
"""The one that names the number type of sentence-transformers."""


class Asked(BaseModel):
    """The body of a request."""

    model: str
    input: str | list[str]


def load() -> Any:
    """Return a function: texts -> vectors of these queries."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        from bmretriever_integrations import BMRetrieverEncoder

        encoder = BMRetrieverEncoder("mini", device="cpu")
        encoder.warm_up()
        return encoder.encode_queries
    from sentence_transformers import SentenceTransformer

    options = {"dtype": os.environ[DTYPE], "attn_implementation": "sdpa"}
    model = SentenceTransformer(folder, device="cpu", local_files_only=True, model_kwargs=options)
    return lambda texts: model.encode(texts, prompt_name="nfcorpus", show_progress_bar=False)


def create_app() -> FastAPI:
    """Make the application."""
    app, embed = FastAPI(), load()

    @app.post("/v1/embeddings")
    async def embeddings(asked: Asked) -> Response:
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        data = [
            {"object": "embedding", "index": number, "embedding": vector} for number, vector in enumerate(embed(texts))
        ]
        content = {"object": "list", "data": data, "model": asked.model}
        return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

    return app
