"""Small corpora, and one engine for all tests of the index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bmretriever_integrations import BMRetrieverEncoder


@pytest.fixture(scope="session")
def encoder(tiny) -> Iterator[BMRetrieverEncoder]:
    with BMRetrieverEncoder(tiny("llama"), dtype="float32", device="cpu") as engine:
        yield engine


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """A function: folder -> name and bytes of every file in it."""
    return lambda folder: {path.name: path.read_bytes() for path in folder.iterdir()}
