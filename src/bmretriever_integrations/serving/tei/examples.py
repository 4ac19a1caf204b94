"""Examples of embeddings for ``/openapi.json``, with vectors that are cut short."""

from __future__ import annotations

from typing import Any

REQUEST: dict[str, Any] = {"inputs": ["Does metformin lower the risk of cancer?"], "prompt_name": "query"}
ANSWER: list[list[float]] = [[0.25, -1.5, 0.125]]
INFO: dict[str, Any] = {
    "model_id": "BMRetriever-410M",
    "model_dtype": "bfloat16",
    "model_type": {"embedding": {"pooling": "last_token"}},
    "max_concurrent_requests": 4096,
    "max_input_length": 512,
    "max_batch_tokens": 2048,
    "max_client_batch_size": 2048,
    "auto_truncate": False,
    "prompt_names": ["query", "passage"],
    "dimensions": 1024,
    "normalize": False,
}
_ERROR: dict[str, Any] = {
    "schema": {
        "type": "object",
        "required": ["error", "error_type"],
        "properties": {"error": {"type": "string"}, "error_type": {"type": "string"}},
    },
    "example": {"error": "the field 'inputs' is missing", "error_type": "Validation"},
}
REFUSED: dict[str, Any] = {"description": "the request is not answered", "content": {"application/json": _ERROR}}
"""Errors of these routes have another form than those of the other ones."""
