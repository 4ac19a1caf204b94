"""Pairs -> the passages that negatives come from, and the queries that are searched with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bmretriever_integrations.training.pairs.passages import passages_of
from bmretriever_integrations.training.pairs.schema import Pair, pair_files, read_pairs

Scope = Literal["task", "all"]
SCOPES = ("task", "all")


@dataclass(slots=True)
class Query:
    """A query that is searched once, however many pairs have it."""

    task: str
    instruction: str
    text: str
    positives: list[int] = field(default_factory=list)
    """Rows of the passages in reach that are positives of a query with this text, in any task."""
    query_row: int = -1
    """Row of the passage that equals the query; -1 if there is none."""


@dataclass(slots=True)
class Pool:
    """All texts of a mining run. Memory: the distinct passages and queries, and about 200 bytes for each."""

    scope: Scope
    passages: list[str] = field(default_factory=list)
    """Passages, task by task, and the further passages after them; within a task no two differ in case or white space alone."""
    reach: dict[str, tuple[range, ...]] = field(default_factory=dict)
    """Task -> rows of the passages that its negatives may come from (they are "in reach")."""
    queries: list[Query] = field(default_factory=list)
    """Queries, task by task, in the order of the pairs."""
    _rows: dict[tuple[str, bytes], int] = field(default_factory=dict)
    _places: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def place(self, pair: Pair) -> int:
        """
        Tell which of the queries is the pair's.

        :param pair: one of the pairs that the pool was made of.
        :returns: its position in :attr:`queries`.
        """
        return self._places[pair.task, pair.instruction, pair.query]

    def row(self, task: str, text: str) -> int:
        """
        Find a passage among those a task's negatives may come from.

        :param task: the task.
        :param text: the passage; case and white space do not matter.
        :returns: its row, or -1.
        """
        content = fold(text)
        return self._rows.get((self._group(task), content), self._rows.get(("", content), -1))

    def fingerprint(self) -> str:
        """Return the SHA-256 of the passages, in hexadecimal."""
        return _sha256(self.passages)

    def query_fingerprint(self) -> str:
        """Return the SHA-256 of the queries, their reach and their positives, in hexadecimal."""
        return _sha256(
            f"{q.task}\0{q.instruction}\0{q.text}\0{self.reach[q.task]}\0{q.positives}" for q in self.queries
        )

    def _group(self, task: str) -> str:
        return f"task:{task}" if self.scope == "task" else "all"


def fold(text: str) -> bytes:
    """
    Make the key by which texts are compared: equal for texts that differ in case and white space alone.

    :param text: any text.
    :returns: 16 bytes.
    """
    return hashlib.blake2b(" ".join(text.casefold().split()).encode("utf-8"), digest_size=16).digest()


def make_pool(pairs: Path, scope: Scope, further: Sequence[Path], negatives: int, keep: bool = False) -> Pool:
    """
    Read pairs and further passages.

    :param pairs: a .parquet file of pairs, or a folder of them.
    :param scope: negatives of a pair come from the positives of its ``task``, or of ``all`` tasks.
    :param further: files of more passages, in reach of every task, as
        :func:`~bmretriever_integrations.training.pairs.passages.passages_of` takes them. One that equals a positive of any
        pair is left out.
    :param negatives: number of negatives that a pair is to get.
    :param keep: pairs that have negatives already give no query; their positives are passages all the same.
    :raises FileNotFoundError: if a file is missing.
    :raises ValueError: if a file holds no pairs, a further file has lines that cannot be read, a scope is unknown, or a task
        with queries has fewer passages than a pair's positive and its negatives.
    """
    if scope not in SCOPES:
        raise ValueError(f"pool must be one of {', '.join(SCOPES)}, got {scope!r}")
    pair_files(pairs)
    more = [passages_of(path) for path in further]  # all files are checked before the first is read
    pool = Pool(scope)
    own = _add_pairs(pool, pairs, keep)
    known = {content for _, content in pool._rows}
    start = len(pool.passages)
    for passages in more:
        for passage in passages:
            content = fold(passage.text)
            if content not in known:
                known.add(content)
                pool._rows["", content] = len(pool.passages)
                pool.passages.append(passage.text)
    pool.reach = {task: (*rows, range(start, len(pool.passages))) for task, rows in pool.reach.items()}
    _check_sizes(pool, negatives)
    _link(pool, own)
    return pool


def _add_pairs(pool: Pool, pairs: Path, keep: bool) -> dict[bytes, list[str]]:
    """Add passages and queries, task by task; returns folded query -> its positives."""
    groups: dict[str, dict[bytes, str]] = {}
    queries: dict[str, dict[tuple[str, str, str], None]] = {}
    own: dict[bytes, list[str]] = {}
    for pair in read_pairs(pairs):
        groups.setdefault(pool._group(pair.task), {}).setdefault(fold(pair.positive), pair.positive)
        of_task = queries.setdefault(pair.task, {})
        if not (keep and pair.negatives):
            of_task[pair.task, pair.instruction, pair.query] = None
        own.setdefault(fold(pair.query), []).extend((pair.positive, *pair.other_positives))
    for group, texts in groups.items():
        start = len(pool.passages)
        pool._rows.update({(group, content): start + n for n, content in enumerate(texts)})
        pool.passages += texts.values()
        reach = (range(start, len(pool.passages)),)
        pool.reach.update({task: reach for task in queries if pool._group(task) == group})
    for keys in queries.values():
        for key in keys:
            pool._places[key] = len(pool.queries)
            pool.queries.append(Query(*key))
    return own


def _link(pool: Pool, own: dict[bytes, list[str]]) -> None:
    """Find every query's positives among the passages in its reach."""
    for query in pool.queries:
        rows = {pool.row(query.task, text) for text in own[fold(query.text)]}
        query.positives = sorted(rows - {-1})
        query.query_row = pool.row(query.task, query.text)


def _check_sizes(pool: Pool, negatives: int) -> None:
    sizes = {task: sum(map(len, pool.reach[task])) for task in dict.fromkeys(q.task for q in pool.queries)}
    small = [f"{task} ({size})" for task, size in sizes.items() if size <= negatives]
    if small:
        raise ValueError(
            f"{negatives} negatives a pair need at least {negatives + 1} distinct passages of a task; too few have: "
            f"{', '.join(small)}. Lower the negatives, take all tasks' passages (pool all), or add further passages."
        )


def _sha256(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode("utf-8")
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()
