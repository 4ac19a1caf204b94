"""Build the BioASQ task from golden sets: the relevant documents are the articles from which the experts took snippets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bmretriever_integrations.evaluation.tasks.builders.json_files import read_json, take
from bmretriever_integrations.evaluation.tasks.writing import TaskWriter


def build_bioasq(sources: Sequence[Path], writer: TaskWriter) -> None:
    """
    Build the BioASQ task from one or more golden sets.

    The golden sets contain no abstracts. So the document of a PMID consists of all its snippets from all questions, each once, in
    the order of the files. The documents from which a question has snippets are relevant to it. A question without a text or a
    snippet is left out.

    :param sources: JSON files with a list ``questions``. A question has ``id``, ``body`` and ``snippets``; a snippet has
        ``document``, an address that ends in the PMID, and ``text``.
    :param writer: the writer of the task.
    :raises ValueError: if a file has another form; the message names the file and the question.
    """
    texts: dict[str, dict[str, None]] = {}  # the snippets of each PMID, each once, in order
    for path in sources:
        for number, question in enumerate(take(read_json(path, dict), "questions", list, str(path)), 1):
            where = f"{path}, question {number}"
            query, body = take(question, "id", str, where), take(question, "body", str, where).strip()
            snippets = take(question, "snippets", list, where) if question.get("snippets") else []
            if not body or not snippets:
                writer.left_out["no snippet" if body else "no question"] += 1
                continue
            relevant: dict[str, None] = {}
            for snippet in snippets:
                pmid = take(snippet, "document", str, where).rstrip("/").rsplit("/", 1)[-1]
                if not (pmid.isascii() and pmid.isdigit()):
                    raise ValueError(f"{where}: the snippet's document {snippet['document']!r} does not end in a PMID")
                texts.setdefault(pmid, {})[" ".join(take(snippet, "text", str, where).split())] = None
                relevant[pmid] = None
            writer.query(query, body, where)
            for pmid in relevant:
                writer.judge(query, pmid, 1)
    for pmid, parts in texts.items():
        writer.document(pmid, "", " ".join(parts), f"PMID {pmid}")
