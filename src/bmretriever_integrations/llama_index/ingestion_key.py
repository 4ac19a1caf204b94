"""Name the embedded texts in the cache of an IngestionPipeline.

LlamaIndex makes a key of that cache from all metadata and the text of the nodes, joined without a mark between the nodes, and
from the transformation's ``to_dict()``. Which keys of the metadata are embedded is not in it, so after a change of
``excluded_embed_metadata_keys`` it would return the vectors of other texts. LlamaIndex passes the nodes to no method of the
transformation before it looks the key up. They are therefore read from the running call of ``get_transformation_hash``.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import uuid
from collections.abc import Sequence

from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.schema import BaseNode, MetadataMode

_HASHING = inspect.unwrap(get_transformation_hash).__code__


def texts_being_cached() -> str | None:
    """
    Identify the texts for which LlamaIndex is making a key now.

    :returns: a hash of the texts that would be embedded, or None if the caller was not called by LlamaIndex's hash function. If
        the nodes cannot be found there, each result is another one, so that the cache finds nothing instead of something wrong.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not _HASHING:
        frame = frame.f_back
    if frame is None:
        return None
    nodes: Sequence[BaseNode] | None = frame.f_locals.get("nodes")
    if nodes is None:
        return uuid.uuid4().hex
    texts = [node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()
