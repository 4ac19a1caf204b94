"""Read a task from a BEIR folder: the documents, the queries, and the judgements (qrels)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.evaluation.tasks.beir import read_records
from bmretriever_integrations.evaluation.tasks.qrels import Judgements, find_qrels, read_qrels

NO_DOCUMENT = -1
"""The position that means no document."""
DEFAULT_MEASURES = ("nDCG@10", "Recall@100", "MRR@10")


@dataclass(frozen=True, eq=False)
class Task:
    """One retrieval task. The documents' texts stay on disk; only their ids are in memory."""

    name: str
    """The folder's name."""
    split: str
    """Name of the qrels file."""
    corpus: Path
    """The file with the documents."""
    document_ids: list[str]
    """Ids of the documents, in the file's order."""
    queries: dict[str, str]
    """Maps each query id to its text; only judged queries, in the file's order."""
    judgements: Judgements
    """The judgements of ``queries``; a grade above 0 is relevant."""
    own_documents: NDArray[np.int64]
    """*Shape:* (queries,) position of the document that is the query itself and is left out of the query's ranking, or -1."""
    same_ids: int
    """Number of queries whose id is a document's, in a task that does not say that its queries are documents; the document is
    ranked like any other, because two lists that are numbered from 0 share ids by chance."""
    unknown_queries: int
    """Number of queries in the judgements that queries.jsonl does not contain; they are not run."""
    unknown_documents: int
    """Number of relevant judgements whose document is not in the corpus; they count as not found."""
    sha256: str
    """SHA-256 of the three files' bytes."""
    measures: tuple[str, ...] = DEFAULT_MEASURES
    """Names of measures; the first is the main one."""
    candidates: NDArray[np.int64] | None = None
    """*Shape:* (2, pairs) row of a query and position of a document that was judged for it, ordered by position, if each query
    ranks only these documents; None if it ranks the whole corpus."""

    @property
    def facts(self) -> tuple[str, ...]:
        """Its size, in words."""
        return f"{len(self.document_ids):,} documents", f"{len(self.queries):,} queries"

    @property
    def left_out(self) -> int:
        """The number of queries whose own document is left out of their ranking."""
        return int((self.own_documents != NO_DOCUMENT).sum())

    @property
    def most_candidates(self) -> int:
        """The largest number of candidates of a query; 0 if queries rank the whole corpus."""
        return 0 if self.candidates is None else int(np.bincount(self.candidates[0], minlength=1).max())

    def candidates_of(self, row: int) -> NDArray[np.int64] | None:
        """
        Return one query's candidates, in the form for a task with this query alone.

        :param row: the row of the query.
        """
        if self.candidates is None:
            return None
        own = self.candidates[:, self.candidates[0] == row].copy()
        own[0] = 0
        return own

    def passages(self) -> Iterator[Record]:
        """Stream the documents from disk, in the order of ``document_ids``."""
        return read_records(self.corpus)

    @property
    def relevant(self) -> int:
        """The number of pairs of a query and a document that are judged relevant."""
        return sum(grade > 0 for grades in self.judgements.values() for grade in grades.values())


def load_task(
    folder: str | Path,
    split: str = "test",
    measures: tuple[str, ...] = DEFAULT_MEASURES,
    judged_only: bool = False,
    queries_are_documents: bool = False,
) -> Task:
    """
    Read a BEIR folder: corpus.jsonl, queries.jsonl (either may end in .gz) and qrels/<split>.tsv.

    :param folder: the task's folder; its name is the name of the task.
    :param split: the name of the qrels file.
    :param measures: the measures to report, by their names in ``metrics.MEASURES``; the main measure comes first.
    :param judged_only: let each query rank only the documents that were judged for it, also with grade 0.
    :param queries_are_documents: each query is the document with its id. This document is left out of the query's ranking, as by
        BEIR's ``ignore_identical_ids``, unless it is judged relevant to it.
    :raises FileNotFoundError: if a file is missing; for a missing split, the message lists the existing splits.
    :raises ValueError: if a line is malformed (with file and line), an id comes twice, or no query has a judgement.
    """
    root = Path(folder).expanduser().resolve()
    corpus, queries_file, qrels = (
        find_file(root, "corpus.jsonl"),
        find_file(root, "queries.jsonl"),
        find_qrels(root, split),
    )
    judged = read_qrels(qrels)
    texts = _texts_by_id(queries_file)
    queries = {query: text for query, text in texts.items() if query in judged}
    if not queries:
        raise ValueError(f"{root.name}: no query of {queries_file.name} has a judgement in {qrels}")
    judgements = {query: judged[query] for query in queries}
    document_ids, positions = _positions_by_id(corpus)
    shared = [
        NO_DOCUMENT if grades.get(query, 0) > 0 else positions.get(query, NO_DOCUMENT)
        for query, grades in judgements.items()
    ]
    same_ids = sum(position != NO_DOCUMENT for position in shared)
    return Task(
        name=root.name,
        split=split,
        corpus=corpus,
        document_ids=document_ids,
        queries=queries,
        judgements=judgements,
        own_documents=np.array(shared if queries_are_documents else [NO_DOCUMENT] * len(shared), np.int64),
        same_ids=0 if queries_are_documents else same_ids,
        unknown_queries=len(judged) - len(queries),
        unknown_documents=sum(
            grade > 0 and document not in positions
            for grades in judgements.values()
            for document, grade in grades.items()
        ),
        sha256=files_sha256(corpus, queries_file, qrels),
        measures=measures,
        candidates=_candidates(judgements, positions) if judged_only else None,
    )


def _candidates(judgements: Judgements, positions: dict[str, int]) -> NDArray[np.int64]:
    pairs = [
        (positions[document], row)
        for row, grades in enumerate(judgements.values())
        for document in grades
        if document in positions
    ]
    return np.array([(row, position) for position, row in sorted(pairs)], np.int64).reshape(-1, 2).T


def find_file(root: Path, name: str) -> Path:
    """
    Find a file of a BEIR folder, plain or gzipped.

    :param root: the folder.
    :param name: e.g. ``corpus.jsonl``.
    :raises FileNotFoundError: if the folder or the file is missing.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder; name a BEIR folder (corpus.jsonl, queries.jsonl, qrels/)")
    for path in (root / name, root / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{root} has no {name} or {name}.gz; a BEIR folder holds corpus.jsonl, queries.jsonl, qrels/"
    )


def _texts_by_id(path: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    for record in read_records(path):
        if record.id in texts:
            raise ValueError(f"{path}: the id {record.id!r} comes twice; ids must be unique")
        texts[record.id] = record.text
    return texts


def _positions_by_id(path: Path) -> tuple[list[str], dict[str, int]]:
    ids: list[str] = []
    positions: dict[str, int] = {}
    for position, record in enumerate(read_records(path)):
        if positions.setdefault(record.id, position) != position:
            raise ValueError(f"{path}: the id {record.id!r} comes twice; ids must be unique")
        ids.append(record.id)
    if not ids:
        raise ValueError(f"{path} holds no document")
    return ids, positions


def files_sha256(*paths: Path) -> str:
    """
    Fingerprint a task's files.

    :param paths: the files, in a fixed order.
    :returns: SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
