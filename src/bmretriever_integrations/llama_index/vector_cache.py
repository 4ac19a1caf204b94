"""Use LlamaIndex's ``embeddings_cache`` with keys that include everything on which a vector depends.

LlamaIndex itself uses the text alone as the key. BMRetriever's vector also depends on the text's role (query or passage), the
instruction, the weights and the settings, so all of them are part of the key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Literal

from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.storage.kvstore.types import BaseKVStore

from bmretriever_integrations.settings import EncoderSettings

COLLECTION = "embeddings"
"""The collection in which llama-index-core 0.14 keeps its own entries. Clearing LlamaIndex's entries clears ours, too."""

Role = Literal["query", "passage"]
"""Whether a text is embedded as a query or as a passage."""


def namespace(fingerprint: str, settings: EncoderSettings, role: Role, instruction: str) -> str:
    """
    Make the prefix of all keys of one role.

    :param fingerprint: the fingerprint of the weights.
    :param settings: the settings of the engine. Those that change no vector (token, batch size, offline mode) are left out.
    :param role: whether the texts are queries or passages.
    :param instruction: the instruction of queries; it is not part of the key of passages.
    """
    decisive = [
        fingerprint,
        settings.device,
        settings.dtype,
        settings.max_length,
        settings.normalize,
        settings.truncate_dim,
        instruction if role == "query" else None,
    ]
    if settings.quantization is not None:  # otherwise the keys stay equal to those of earlier versions
        decisive.append(settings.quantization)
    return f"bmretriever:{role}:{hashlib.sha256(json.dumps(decisive).encode()).hexdigest()}:"


def recall(
    cache: BaseKVStore, prefix: Callable[[], str], texts: list[str], compute: Callable[[list[str]], list[Embedding]]
) -> list[Embedding]:
    """
    Take vectors from the cache. Compute the missing vectors and store them.

    :param cache: a key-value store of LlamaIndex.
    :param prefix: returns the result of :func:`namespace`. It is called again before vectors are stored, because the model may
        have been loaded only now, from files that have changed since the first call.
    :param texts: the texts to embed.
    :param compute: a function that embeds texts; it is called at most once, with each missing text once.
    :returns: one vector for each text, in the same order.
    """
    start = prefix()
    found = {text: cache.get(start + text, collection=COLLECTION) for text in dict.fromkeys(texts)}
    missing = [text for text, hit in found.items() if hit is None]
    if missing:
        vectors = compute(missing)
        start = prefix()
        for text, vector in zip(missing, vectors, strict=True):
            found[text] = {"embedding": vector}
            cache.put(start + text, {"embedding": vector}, collection=COLLECTION)
    return _in_order(texts, found)


async def arecall(
    cache: BaseKVStore,
    prefix: Callable[[], Awaitable[str]],
    texts: list[str],
    compute: Callable[[list[str]], Awaitable[list[Embedding]]],
) -> list[Embedding]:
    """
    Do the same as :func:`recall`, with the store's asynchronous methods.

    :param cache: a key-value store of LlamaIndex.
    :param prefix: returns the result of :func:`namespace`. It is called again before vectors are stored, because the model may
        have been loaded only now, from files that have changed since the first call.
    :param texts: the texts to embed.
    :param compute: a function that embeds texts; it is awaited at most once, with each missing text once.
    :returns: one vector for each text, in the same order.
    """
    start = await prefix()
    found = {text: await cache.aget(start + text, collection=COLLECTION) for text in dict.fromkeys(texts)}
    missing = [text for text, hit in found.items() if hit is None]
    if missing:
        vectors = await compute(missing)
        start = await prefix()
        for text, vector in zip(missing, vectors, strict=True):
            found[text] = {"embedding": vector}
            await cache.aput(start + text, {"embedding": vector}, collection=COLLECTION)
    return _in_order(texts, found)


def _in_order(texts: list[str], found: dict[str, dict[str, Embedding] | None]) -> list[Embedding]:
    # the lists are copied, so that a caller who changes a vector does not change the cache
    return [list(hit["embedding"]) for hit in (found[text] for text in texts) if hit is not None]
