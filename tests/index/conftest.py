"""Small corpora, and one engine for all tests of the index."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bmretriever_integrations import BMRetrieverEncoder

WORDS = [
    "aspirin", "stroke", "insulin", "glucose", "tumour", "biopsy", "enzyme", "receptor",
    "placebo", "cohort", "dose", "trial", "kidney", "liver", "asthma",
]  # fmt: skip


@pytest.fixture(scope="session")
def write_jsonl() -> Callable[..., Path]:
    """A function: path, number of records -> a BEIR file; record i always has the same content."""

    def write(path: Path, count: int, start: int = 0) -> Path:
        with path.open("w", encoding="utf-8") as file:
            for i in range(start, start + count):
                words = [WORDS[(i * 7 + j * j) % len(WORDS)] for j in range(3 + i % 11)]
                file.write(json.dumps({"_id": f"r{i}", "title": f"Study {i}", "text": " ".join(words)}) + "\n")
        return path

    return write


@pytest.fixture(scope="session")
def encoder(tiny) -> Iterator[BMRetrieverEncoder]:
    with BMRetrieverEncoder(tiny("llama"), dtype="float32", device="cpu") as engine:
        yield engine


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """A function: folder -> name and bytes of every file in it."""
    return lambda folder: {path.name: path.read_bytes() for path in folder.iterdir()}
