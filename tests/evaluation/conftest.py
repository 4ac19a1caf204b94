"""BEIR folders for the evaluation tests: written on the spot, or the real ones where they are at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write_task(tmp_path: Path) -> Callable[..., Path]:
    """A function: name, documents (id -> text or (title, text)), queries (id -> text), judgements -> folder."""

    def write(
        name: str,
        documents: dict[str, str | tuple[str, str]],
        queries: dict[str, str],
        judgements: list[tuple[str, str, int]],
        split: str = "test",
    ) -> Path:
        folder = tmp_path / name
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        rows = []
        for key, value in documents.items():
            title, text = ("", value) if isinstance(value, str) else value
            rows.append(json.dumps({"_id": key, "title": title, "text": text}))
        (folder / "corpus.jsonl").write_text("\n".join(rows) + "\n")
        rows = [json.dumps({"_id": key, "text": text}) for key, text in queries.items()]
        (folder / "queries.jsonl").write_text("\n".join(rows) + "\n")
        rows = ["query-id\tcorpus-id\tscore", *["\t".join(map(str, judgement)) for judgement in judgements]]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(rows) + "\n")
        return folder

    return write


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
