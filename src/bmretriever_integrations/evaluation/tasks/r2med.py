"""Describe R2MED, eight sets of queries that need reasoning, with the scores that its authors measured."""

from __future__ import annotations

from bmretriever_integrations.evaluation.tasks.named_task import Benchmark, Hub, NamedTask
from bmretriever_integrations.evaluation.tasks.retrieval import DEFAULT_MEASURES

# Counts: README of github.com/R2MED/R2MED; mteb 2.26 counts the same texts. Commits: mteb 2.26's task metadata.
# Scores: ndcg_at_10 in the repository's files results/base retriever/{bmr-410m,bmr-2b,bmr-7b,bm25}/SET.json.
SOURCE = "R2MED (arXiv 2505.14558), result files of its repository"
MEASURED = (
    "R2MED ranked by cosine, with at most 512 tokens for the 410M, 1,024 for the 2B and 2,048 for the 7B; "
    "here it is the dot product and 512 tokens, if --max-length says nothing else."
)
SCORES = {
    "Biology": (0.124, 0.195, 0.236, 0.192),
    "Bioinformatics": (0.299, 0.333, 0.440, 0.215),
    "Medical-Sciences": (0.313, 0.395, 0.449, 0.197),
    "MedXpertQA-Exam": (0.045, 0.100, 0.115, 0.007),
    "MedQA-Diag": (0.063, 0.093, 0.169, 0.026),
    "PMC-Treatment": (0.253, 0.380, 0.469, 0.237),
    "PMC-Clinical": (0.175, 0.256, 0.291, 0.217),
    "IIYi-Clinical": (0.177, 0.223, 0.244, 0.120),
}
"""Maps each set to the published nDCG@10 of the 410M, the 2B, the 7B and BM25."""


def _record(title: str, revision: str, documents: int, queries: int) -> NamedTask:
    scores = zip(("410M", "2B", "7B", "BM25"), SCORES[title], strict=True)
    return NamedTask(
        name=f"r2med-{title.lower()}",
        title=f"R2MED {title}",
        group="retrieval that needs reasoning",
        measures=DEFAULT_MEASURES,
        hub=Hub(path=f"R2MED/{title}", layout="retrieval", queries="query", judgements="qrels", revision=revision),
        documents=documents,
        queries=queries,
        published={system: {"nDCG@10": score} for system, score in scores},
        source=SOURCE,
        notes=(MEASURED,),
        prescribed_by="R2MED",
    )


R2MED = Benchmark(
    name="r2med",
    title="R2MED",
    about=(
        "Reasoning-driven medical retrieval: 876 queries, eight sets (arXiv 2505.14558).",
        "Published mean nDCG@10 of the eight sets: BMRetriever 7B 0.302, 2B 0.247, 410M 0.181; e5-mistral 7B 0.249, "
        "bge-large 0.170, BM25 0.151, MedCPT 0.079.",
    ),
    records=(
        _record("Biology", "8b9fec2db9eda4b5742d03732213fbaee8169556", 57_359, 103),
        _record("Bioinformatics", "6021fce366892cbfd7837fa85a4128ea93315e18", 47_473, 77),
        _record("Medical-Sciences", "1b48911514c80bf9182222d99752ad75e23b4b47", 34_810, 88),
        _record("MedXpertQA-Exam", "b457ea43db9ae5db74c3a3e5be0a213d0f85ac3a", 61_379, 97),
        _record("MedQA-Diag", "78b585990279cc01a493f876c1b0cf09557fba57", 56_250, 118),
        _record("PMC-Treatment", "53c489a44a3664ba352c07550b72b4525a5968d5", 28_954, 150),
        _record("PMC-Clinical", "812829522f7eaa407ef82b96717be85788a50f7e", 60_406, 114),
        _record("IIYi-Clinical", "974abbc9bc281c3169180a6aa5d7586cfd2f5877", 10_449, 129),
    ),
)
