"""Use LlamaIndex's ``embeddings_cache`` with keys that include everything on which a vector depends.

LlamaIndex itself uses the text alone as the key. BMRetriever's vector also depends on the text's role (query or passage), the
instruction, the weights and the settings, so all of them are part of the key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal

from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.storage.kvstore.types import BaseKVStore

from bmretriever_integrations.checkpoints import find_checkpoint
from bmretriever_integrations.checkpoints.fingerprint import fingerprint
from bmretriever_integrations.checkpoints.int8_storage import embedded_folder
from bmretriever_integrations.settings import EncoderSettings

COLLECTION = "embeddings"
"""The collection in which llama-index-core 0.14 keeps its own entries. Clearing LlamaIndex's entries clears ours, too."""

Role = Literal["query", "passage"]
"""Whether a text is embedded as a query or as a passage."""


def namespace(settings: EncoderSettings, role: Role, instruction: str) -> str:
    """
    Make the prefix of all keys of one role.

    :param settings: the settings of the engine. Those that change no vector (token, batch size, offline mode) are left out.
    :param role: whether the texts are queries or passages.
    :param instruction: the instruction of queries; it is not part of the key of passages.
    """
    decisive = [
        *_weights(settings),
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
    cache: BaseKVStore, prefix: str, texts: list[str], compute: Callable[[list[str]], list[Embedding]]
) -> list[Embedding]:
    """
    Take vectors from the cache. Compute the missing vectors and store them.

    :param cache: a key-value store of LlamaIndex.
    :param prefix: the result of :func:`namespace`.
    :param texts: the texts to embed.
    :param compute: a function that embeds texts; it is called at most once, with each missing text once.
    :returns: one vector for each text, in the same order.
    """
    found = {text: cache.get(prefix + text, collection=COLLECTION) for text in dict.fromkeys(texts)}
    missing = [text for text, hit in found.items() if hit is None]
    for text, vector in zip(missing, compute(missing) if missing else [], strict=True):
        found[text] = {"embedding": vector}
        cache.put(prefix + text, {"embedding": vector}, collection=COLLECTION)
    return _in_order(texts, found)


async def arecall(
    cache: BaseKVStore, prefix: str, texts: list[str], compute: Callable[[list[str]], Awaitable[list[Embedding]]]
) -> list[Embedding]:
    """
    Do the same as :func:`recall`, with the store's asynchronous methods.

    :param cache: a key-value store of LlamaIndex.
    :param prefix: the result of :func:`namespace`.
    :param texts: the texts to embed.
    :param compute: a function that embeds texts; it is awaited at most once, with each missing text once.
    :returns: one vector for each text, in the same order.
    """
    found = {text: await cache.aget(prefix + text, collection=COLLECTION) for text in dict.fromkeys(texts)}
    missing = [text for text, hit in found.items() if hit is None]
    for text, vector in zip(missing, await compute(missing) if missing else [], strict=True):
        found[text] = {"embedding": vector}
        await cache.aput(prefix + text, {"embedding": vector}, collection=COLLECTION)
    return _in_order(texts, found)


def _in_order(texts: list[str], found: dict[str, dict[str, Embedding] | None]) -> list[Embedding]:
    # the lists are copied, so that a caller who changes a vector does not change the cache
    return [list(hit["embedding"]) for hit in (found[text] for text in texts) if hit is not None]


def _weights(settings: EncoderSettings) -> tuple[str, str | None]:
    """Identify the weights without loading them: by hub id and commit, or by the fingerprint of a folder's files."""
    known = find_checkpoint(settings.model)
    if known is not None and known.hub_id is not None:
        return known.hub_id, settings.revision or known.revision
    folder = embedded_folder() if known is not None else Path(settings.model).expanduser()
    if folder.is_dir():
        return "folder", _fingerprint(folder)
    return settings.model, settings.revision


def _fingerprint(folder: Path) -> str:
    """Fingerprint the files of a folder and of the module folders in it. The files are read again only after a change."""
    folders = (folder, *sorted(path for path in folder.iterdir() if path.is_dir()))
    states = tuple(
        (str(path), state.st_size, state.st_mtime_ns)
        for place in folders
        for path in sorted(place.iterdir())
        if path.is_file()
        for state in [path.stat()]
    )
    return _read_fingerprint(folders, states)


@lru_cache(maxsize=16)
def _read_fingerprint(folders: tuple[Path, ...], states: tuple[tuple[str, int, int], ...]) -> str:  # noqa: ARG001
    return fingerprint(folders)
