"""Describe the retrieval tasks of mteb's benchmark MTEB(Medical, v1) that are not among the paper's."""

from __future__ import annotations

from collections.abc import Mapping

from bmretriever_integrations.evaluation.tasks.named_task import Benchmark, Hub, NamedTask, Published
from bmretriever_integrations.evaluation.tasks.retrieval import DEFAULT_MEASURES

# Hub names, commits, splits and counts: mteb 2.26, benchmarks.py, task metadata and descriptive statistics.
STM = "STM (arXiv 2602.04731), Table 11, measured with mteb"
OTHER_LANGUAGE = "BMRetriever was trained on English texts."


def _record(
    name: str,
    title: str,
    hub: Hub,
    documents: int,
    queries: int,
    *,
    published: Published | None = None,
    notes: tuple[str, ...] = (),
) -> NamedTask:
    return NamedTask(
        name=name,
        title=title,
        group="medical retrieval",
        measures=DEFAULT_MEASURES,
        hub=hub,
        documents=documents,
        queries=queries,
        published=published or {},
        source=STM if published else "",
        notes=notes,
        prescribed_by="mteb",
    )


def _stm(value: float) -> Mapping[str, Mapping[str, float]]:
    return {"2B": {"nDCG@10": value}}


MTEB_MEDICAL = Benchmark(
    name="mteb-medical",
    title="MTEB(Medical, v1)",
    about=(
        "The retrieval tasks of this benchmark of mteb. nfcorpus, scifact and trec-covid belong to it too.",
        "STM (arXiv 2602.04731) measured BMRetriever 2B with mteb: nDCG@10 nfcorpus 0.347, scifact 0.729, trec-covid 0.839.",
    ),
    records=(
        _record(
            "cure-v1",
            "CUREv1, English queries, all disciplines",
            Hub(
                path="clinia/CUREv1",
                layout="retrieval",
                queries="queries-en",
                judgements="qrels",
                split="all",
                revision="3bcf51c91e04d04a8a3329dfbe988b964c5cbe83",
            ),
            244_600,
            2_000,
            notes=(
                "STM measured 0.471 for the 2B with mteb; which of the disciplines and languages it counts was not found.",
                "The data's licence is CC BY-NC 4.0.",
            ),
        ),
        _record(
            "medical-qa",
            "MedicalQARetrieval",
            Hub(path="mteb/medical_qa", layout="retrieval", revision="ae763399273d8b20506b80cf6f6f9a31a6a2b238"),
            2_048,
            2_048,
            published=_stm(0.727),
        ),
        _record(
            "public-health-qa",
            "PublicHealthQA, English",
            Hub(path="xhluca/publichealth-qa", layout="questions", queries="english"),
            172,
            172,
            notes=(
                "STM measured 0.812 for the 2B with mteb; which of the eight languages it counts was not found.",
                "The data's licence is CC BY-NC-SA 3.0.",
            ),
        ),
        _record(
            "trec-covid-pl",
            "TREC-COVID in Polish",
            Hub(path="mteb/TRECCOVID-PL", layout="retrieval", revision="1e710582482d4199ff690e5dd2491a70627523f5"),
            171_332,
            50,
            notes=(OTHER_LANGUAGE,),
        ),
        _record(
            "scifact-pl",
            "SciFact in Polish",
            Hub(path="mteb/SciFact-PL", layout="retrieval", revision="d9707265734052a21d5892b6300ca11028fa067b"),
            5_183,
            300,
            notes=(OTHER_LANGUAGE,),
        ),
        _record(
            "cmedqa",
            "CmedqaRetrieval, Chinese",
            Hub(
                path="mteb/CmedqaRetrieval",
                layout="retrieval",
                split="dev",
                revision="c476f85bf03d6642ec66bf54b9a551c88108bbb4",
            ),
            100_001,
            3_999,
            notes=(OTHER_LANGUAGE,),
        ),
    ),
)
