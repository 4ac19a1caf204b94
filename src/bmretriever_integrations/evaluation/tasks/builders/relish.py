"""Build the RELISH task from its JSON file and the papers' texts: a paper is the query for the papers that people judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bmretriever_integrations.corpus import CorpusReport, read_corpus
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.evaluation.tasks.builders.json_files import read_json, take
from bmretriever_integrations.evaluation.tasks.writing import TaskWriter

GRADES = {"relevant": 2, "partial": 1, "irrelevant": 0}
"""RELISH's three judgements, as the grades that SciRepEval gives them."""


def build_relish(sources: Sequence[Path], writer: TaskWriter) -> None:
    """
    Build the RELISH task: a query is a paper's title and abstract, and its documents are the papers that were judged for it.

    If a paper was judged several times for the same query, its highest grade counts. A judgement is left out if the text of
    either paper is missing. The task's ``origin.json`` records the number of these judgements, and of texts that could not be
    read.

    :param sources: RELISH_v1.json and the papers' texts. RELISH_v1.json is a list of objects with ``pmid`` and ``response``; a
        response has the lists of PMIDs ``relevant``, ``partial`` and ``irrelevant``. The texts are PubMed XML or BEIR JSONL with
        PMIDs as ids, plain or gzipped.
    :param writer: the writer of the task.
    :raises ValueError: if a file has another form; the message names the file and the place. Also if there are no texts.
    """
    judged_files = [path for path in sources if path.suffix.lower() == ".json"]
    text_files = [path for path in sources if path not in judged_files]
    if len(judged_files) != 1 or not text_files:
        raise ValueError(
            "expected RELISH_v1.json and one or more files with the papers' texts (.xml, .jsonl, either .gz)"
        )
    judgements = _read_judgements(judged_files[0])
    wanted = set(judgements).union(*judgements.values())
    report = CorpusReport()
    texts = {record.id: record for record in read_corpus(text_files, report) if record.id in wanted}
    for reason, count in report.skipped.items():
        writer.left_out[f"text of a paper: {reason}"] = count
    for query, grades in judgements.items():
        found = {document: grade for document, grade in grades.items() if document in texts}
        writer.left_out["judgement of a paper without text"] += len(grades) - len(found if query in texts else {})
        if query in texts and found:
            add_judged_paper(query, found, texts, writer)


def add_judged_paper(query: str, grades: dict[str, int], texts: dict[str, Record], writer: TaskWriter) -> None:
    """
    Add one paper as a query, and the papers that were judged for it as documents.

    :param query: id of the paper.
    :param grades: maps the id of each judged paper to its grade.
    :param texts: maps the id of each paper to the paper.
    :param writer: the writer of the task.
    """
    own = texts[query]
    # The query needs another id than the paper as a document, because a document with the query's id is left out of its ranking.
    writer.query(f"q{query}", f"{own.title} {own.text}".strip(), f"paper {query}")
    for document, grade in grades.items():
        if not writer.has(document):
            writer.document(document, texts[document].title, texts[document].text, f"paper {document}")
        writer.judge(f"q{query}", document, grade)


def _read_judgements(path: Path) -> dict[str, dict[str, int]]:
    judgements: dict[str, dict[str, int]] = {}
    for number, entry in enumerate(read_json(path, list), 1):
        where = f"{path}, entry {number}"
        response = take(entry, "response", dict, where)
        own = judgements.setdefault(_pmid(take(entry, "pmid", (str, int), where), where), {})
        for name, grade in GRADES.items():
            for listed in take(response, name, list, where):
                document = _pmid(listed, where)
                own[document] = max(grade, own.get(document, 0))
    return judgements


def _pmid(value: Any, where: str) -> str:
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, str) and value.strip())):
        raise ValueError(f"{where}: a PMID must be a string or a number, got {value!r}")
    return str(value).strip()
