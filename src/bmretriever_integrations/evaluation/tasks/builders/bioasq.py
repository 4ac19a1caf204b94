"""BioASQ's golden sets -> question to the PubMed articles that its experts took snippets from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bmretriever_integrations.evaluation.tasks.builders.json_files import read_json, take
from bmretriever_integrations.evaluation.tasks.writing import TaskWriter


def build_bioasq(sources: Sequence[Path], writer: TaskWriter) -> None:
    """
    Make the BioASQ task from one or more golden sets.

    A document is one PMID: all its snippets over all questions, each once, in the files' order; the sets carry no abstracts.
    A question's relevant documents are those that it has snippets of. One without a text or a snippet is left out.

    :param sources: JSON files with ``questions``: ``id``, ``body``, ``snippets`` (``document``, an address that ends in the
        PMID, and ``text``).
    :param writer: takes the task.
    :raises ValueError: if a file is another, with file and question.
    """
    texts: dict[str, dict[str, None]] = {}  # PMID -> its snippets, each once, in order
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
