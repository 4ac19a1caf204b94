"""What tests of the retrievers share: a small index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bmretriever_integrations.index import SearchIndex

TOPICS = ["aspirin stroke", "insulin glucose", "tumour biopsy", "enzyme receptor", "asthma placebo"]


@pytest.fixture(scope="session")
def papers(encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an index of 60 records in five topics, from 2010 to 2021, each tenth retracted, made by a tiny model."""
    pytest.importorskip("lancedb")
    from bmretriever_integrations.index import build_index

    source = tmp_path_factory.mktemp("papers") / "papers.jsonl"
    rows = [
        {
            "_id": str(33000000 + number),
            "title": f"Study {number} of {TOPICS[number % 5]}",
            "text": " ".join(TOPICS[number % 5].split() * (1 + number % 4)),
            "year": 2010 + number // 5,
            "publication_types": ["Review"] if number % 3 else ["Randomized Controlled Trial"],
            "retracted": number % 10 == 9,
            "arm": "AB"[number % 2],
        }
        for number in range(60)
    ]
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    build_index(encoder, [source], source.parent / "index")
    return source.parent / "index"


@pytest.fixture(scope="session")
def opened(papers: Path) -> SearchIndex:
    """The same index, opened without a framework."""
    return SearchIndex.open(papers, device="cpu")
