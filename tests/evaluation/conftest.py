"""BEIR folders for the evaluation tests: written on the spot, or the real ones where they are at hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def real_task() -> Callable[[str], Path]:
    """A function: path below the data folder -> the task's folder; skips where the data is not at hand."""
    here = Path(__file__).resolve().parents[2]
    data = Path(os.environ.get("BMRETRIEVER_DATA", here.parent / "shared" / "data"))

    def find(name: str) -> Path:
        if not (data / name / "corpus.jsonl").is_file():
            pytest.skip(f"no {name} under {data}; set BMRETRIEVER_DATA to the folder with the evaluation data")
        return data / name

    return find
