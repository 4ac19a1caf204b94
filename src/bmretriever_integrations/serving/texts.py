"""The texts of a request to embed, as both forms of request hold them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

OTHER_IDS = (
    "these are token ids, which belong to the tokenizer of another model; send the texts themselves. In LangChain that is "
    "OpenAIEmbeddings(check_embedding_ctx_length=False)"
)
"""Says what to do to a client that tokenizes; LangChain's does so unless it is told not to."""


def _listed(given: Any) -> Any:
    """Make a list of one text, and say clearly what a list of something else is."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list):
        raise ValueError("this must be a text or a list of texts")
    for number, text in enumerate(given):
        if isinstance(text, list) or (isinstance(text, int) and not isinstance(text, bool)):
            raise ValueError(OTHER_IDS)
        if not isinstance(text, str):
            raise ValueError(f"this must be a text or a list of texts; number {number}, from 0, is none: {text!r:.100}")
    return given


Texts = Annotated[
    list[str],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""A text or a list of texts, as a list."""
