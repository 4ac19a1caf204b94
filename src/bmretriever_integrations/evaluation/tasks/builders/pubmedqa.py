"""PubMedQA's ori_pqal.json -> question to the abstract's conclusion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bmretriever_integrations.evaluation.tasks.builders.json_files import only_file, read_json, take
from bmretriever_integrations.evaluation.tasks.writing import TaskWriter


def build_pubmedqa(sources: Sequence[Path], writer: TaskWriter) -> None:
    """
    Make the PubMedQA task: a query is an article's question, its one relevant passage the conclusion of its abstract.

    An article that lacks one of them is left out.

    :param sources: one ori_pqal.json: an object, PMID to ``QUESTION`` and ``LONG_ANSWER``, the conclusion.
    :param writer: takes the task.
    :raises ValueError: if the file is another, with file and PMID.
    """
    path = only_file(sources, "ori_pqal.json")
    for pmid, article in read_json(path, dict).items():
        where = f"{path}, PMID {pmid}"
        answer = take(article, "LONG_ANSWER", str, where).strip()
        question = take(article, "QUESTION", str, where).strip()
        if not question or not answer:
            writer.left_out["no question or no conclusion"] += 1
            continue
        writer.document(pmid, "", answer, where)
        writer.query(f"q{pmid}", question, where)
        writer.judge(f"q{pmid}", pmid, 1)
