"""Examples of embeddings for ``/openapi.json``, with vectors that are cut short."""

from __future__ import annotations

from typing import Any

REQUEST: dict[str, Any] = {"model": "BMRetriever-410M-query", "input": ["Does metformin lower the risk of cancer?"]}
ANSWER: dict[str, Any] = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -1.5, 0.125]}],
    "model": REQUEST["model"],
    "usage": {"prompt_tokens": 29, "total_tokens": 29},
}
MODEL: dict[str, Any] = {
    "id": "BMRetriever-410M",
    "object": "model",
    "created": 0,
    "owned_by": "bmretriever",
    "input_type": "passage",
    "dimensions": 1024,
    "max_tokens": 512,
}
MODELS: dict[str, Any] = {
    "object": "list",
    "data": [MODEL, {**MODEL, "id": f"{MODEL['id']}-query", "input_type": "query"}],
}
