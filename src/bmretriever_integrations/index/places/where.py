"""From what a user gives to the place of an index."""

from __future__ import annotations

from pathlib import Path

from bmretriever_integrations.index.places.folder import Folder
from bmretriever_integrations.index.places.object_store import ObjectStore
from bmretriever_integrations.index.places.place import Place
from bmretriever_integrations.index.places.urls import url_of

Where = str | Path | Place


def place_of(where: Where) -> Place:
    """
    Find out where an index is, or shall be. Nothing is opened or made.

    :param where: a folder, a URL such as ``s3://bucket/papers-index``, or a place, which is returned.
    :raises ValueError: if it is a URL where no index can be.
    """
    if isinstance(where, Place):
        return where
    url = url_of(where)
    return Folder(Path(where)) if url is None else ObjectStore(url)
