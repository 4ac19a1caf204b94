"""Build the PubMedQA task from ori_pqal.json: an article's question is the query for its abstract's conclusion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bmretriever_integrations.evaluation.tasks.builders.json_files import only_file, read_json, take
from bmretriever_integrations.evaluation.tasks.writing import TaskWriter


def build_pubmedqa(sources: Sequence[Path], writer: TaskWriter) -> None:
    """
    Build the PubMedQA task: a query is an article's question, and its only relevant passage is the conclusion of the abstract.

    An article without a question or without a conclusion is left out.

    :param sources: one file ori_pqal.json. It maps each PMID to an object with ``QUESTION`` and ``LONG_ANSWER``, the conclusion.
    :param writer: the writer of the task.
    :raises ValueError: if the file has another form; the message names the file and the PMID.
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
