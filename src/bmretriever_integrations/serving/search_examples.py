"""Examples of searches for ``/openapi.json``. Their records are invented."""

from __future__ import annotations

from typing import Any

QUESTION: dict[str, Any] = {
    "question": "Does metformin lower the risk of cancer?",
    "top_k": 5,
    "filters": {"since": 2015, "publication_types": ["Meta-Analysis", "Randomized Controlled Trial"]},
}
BATCH: dict[str, Any] = {
    "questions": ["Does metformin lower the risk of cancer?", "Does aspirin prevent a second stroke?"],
    "top_k": 3,
    "mode": "hybrid",
}
RECORD: dict[str, Any] = {
    "id": "99000001",
    "title": "An example of a paper",
    "text": "Adults who took part had fewer events. The difference was small.",
    "pmid": "99000001",
    "url": "https://pubmed.ncbi.nlm.nih.gov/99000001/",
    "date": "2020-03",
    "marks": [],
    "metadata": {
        "date": "2020-03",
        "journal": "Journal of Examples",
        "publication_types": ["Meta-Analysis"],
        "version": 1,
        "revised": "2021-01-05",
    },
}
ANSWER: dict[str, Any] = {
    "question": QUESTION["question"],
    "mode": "hybrid",
    "hits": [
        {
            "rank": 1,
            "score": 0.93,
            "from_vectors": 0.48,
            "from_words": 0.45,
            "passage": "Adults who took part had fewer events. The difference was small.",
            **RECORD,
        }
    ],
    "retracted_left_out": 1,
    "records": 36000000,
    "timings": {"embedding_ms": 7.5, "search_ms": 4.2},
    "notes": ["1 retracted paper left out: include_retracted shows them"],
}
CONTENTS: dict[str, Any] = {
    "name": "papers-index",
    "records": 36000000,
    "retracted": 25000,
    "years": [1781, 2026],
    "model": "BMRetriever-410M",
    "tuned": True,
}
