"""The steps of a mining run: read, search in chunks, choose, write, report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from bmretriever_integrations.files import LOCK, only_writer
from bmretriever_integrations.training.negatives.miner import Found, Miner
from bmretriever_integrations.training.negatives.pool import Pool, Query, Scope, make_pool
from bmretriever_integrations.training.negatives.report import Tally, write_report
from bmretriever_integrations.training.negatives.rules import Ranking, Rules, choose
from bmretriever_integrations.training.negatives.work import keyed_folder, save_arrays
from bmretriever_integrations.training.output_folder import check_output
from bmretriever_integrations.training.pairs.schema import PairWriter, read_pairs

PAIRS, REPORT, WORK = "pairs.parquet", "report.json", "work"
QUERIES_AT_ONCE = 2_048
"""Queries of a chunk. A stopped run searches at most one chunk again; it takes 1.6 MB on disk at the paper's depth of 100."""
CHUNKS_IN_MEMORY = 64
"""Chunks that stay in memory while pairs are written, about 100 MB at that depth; shuffled tasks need several at once."""


def mine(
    pairs: Path,
    output: Path,
    miner: Miner,
    rules: Rules | None = None,
    *,
    pool: Scope = "task",
    further: Sequence[Path] = (),
    keep: bool = False,
    work: Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """
    Give every pair hard negatives.

    If the run is stopped, even by ``kill -9``, the same call goes on from there and writes the same bytes. Other rules on the
    same pairs, miner and depth use the finished search again.

    :param pairs: a .parquet file of pairs, or a folder of them.
    :param output: folder for ``pairs.parquet``, all pairs in their order with ``negatives``, ``positive_score`` and
        ``negative_scores`` set, and ``report.json``. A pair with fewer candidates than wanted gets as many as there are.
        Negatives that a pair already has are replaced, unless they are kept.
    :param miner: ranks the passages.
    :param rules: depth, filters and draw; None takes the paper's rule.
    :param pool: negatives come from the positives of the pair's own ``task``, or of ``all`` tasks.
    :param further: files of further passages, which every task may get as negatives (:func:`make_pool`).
    :param keep: leave pairs that have negatives as they are.
    :param work: folder of finished vectors and chunks, None for ``work`` in the output folder; may be deleted after the run.
    :param progress: show bars.
    :returns: the report.
    :raises FileNotFoundError: if a file is missing.
    :raises FileExistsError: if ``output`` holds files that mining did not write, or is the folder of the pairs.
    :raises ValueError: if a file or a setting is wrong, or a task has too few passages, which is found before the search starts;
        or if the miner gives a score that is NaN or infinite.
    :raises BlockingIOError: if another process writes to the output folder.
    """
    rules = rules or Rules()
    started = time.monotonic()
    if output.resolve() in (pairs.resolve(), pairs.resolve().parent):
        raise FileExistsError(f"output {output} is the folder of the pairs; name another")
    check_output(output, {PAIRS, REPORT, WORK}, mark=LOCK)
    texts = make_pool(pairs, pool, further, rules.negatives, keep)
    output.mkdir(parents=True, exist_ok=True)
    with only_writer(output):
        chunks = _search(texts, miner, rules.depth, work or output / WORK, progress)
        searched = time.monotonic()
        tally = _write(pairs, output / PAIRS, texts, chunks, rules, keep=keep, progress=progress)
        content = tally.report(
            {
                "miner": miner.settings(),
                "rules": rules.model_dump(),
                "pool": pool,
                "further": [path.name for path in further],
                "keep": keep,
            },
            {"search": searched - started, "choose": time.monotonic() - searched},
        )
        write_report(content, output / REPORT)
    return content


def _chunks(queries: Sequence[Query]) -> Iterator[range]:
    """Cut the queries into ranges of at most :data:`QUERIES_AT_ONCE`, each of one task."""
    start = 0
    for end in range(1, len(queries) + 1):
        full = end - start == QUERIES_AT_ONCE
        if end == len(queries) or full or queries[end].task != queries[start].task:
            yield range(start, end)
            start = end


def _search(pool: Pool, miner: Miner, depth: int, work: Path, progress: bool) -> list[tuple[range, Path]]:
    """Search the chunks that no earlier run has finished; returns all chunks and their files."""
    passages = {"passages": pool.fingerprint(), **miner.settings()}
    settings = {"queries": pool.query_fingerprint(), "depth": depth, "at_once": QUERIES_AT_ONCE}
    folder = keyed_folder(work / "found", {**passages, **settings})
    chunks = [(part, folder / f"{n:06}.npz") for n, part in enumerate(_chunks(pool.queries))]
    missing = [(part, path) for part, path in chunks if not path.exists()]
    if not missing:
        return chunks
    miner.prepare(pool.passages, keyed_folder(work / "passages", passages), progress)
    done = len(pool.queries) - sum(len(part) for part, _ in missing)
    with tqdm(
        total=len(pool.queries), initial=done, desc="searching", unit="query", disable=None if progress else True
    ) as bar:
        for part, path in missing:
            queries = pool.queries[part.start : part.stop]
            found = miner.search(queries, pool.reach[queries[0].task], depth)
            found.check(miner.name)
            save_arrays(path, {"rows": found.rows, "scores": found.scores, "positives": found.positives})
            bar.update(len(part))
    return chunks


def _write(
    pairs: Path, output: Path, pool: Pool, chunks: list[tuple[range, Path]], rules: Rules, *, keep: bool, progress: bool
) -> Tally:
    """Choose every pair's negatives and write the pairs."""
    starts = [part.start for part, _ in chunks]
    tally = Tally(rules.negatives)
    tally.pool(pool)

    @lru_cache(CHUNKS_IN_MEMORY)
    def rankings(chunk: int) -> list[Ranking]:
        part, path = chunks[chunk]
        with np.load(path) as arrays:
            found = Found(arrays["rows"], arrays["scores"], arrays["positives"])
        return list(_rankings(found, pool.queries[part.start : part.stop]))

    with (
        PairWriter(output) as writer,
        tqdm(desc="choosing", unit="pair", disable=None if progress else True) as bar,
    ):
        for pair in read_pairs(pairs):
            bar.update()
            if keep and pair.negatives:
                writer.write(pair)
                tally.keep(pair)
                continue
            place = pool.place(pair)
            chunk = int(np.searchsorted(starts, place, side="right")) - 1
            ranking = rankings(chunk)[place - starts[chunk]]
            positive = pool.row(pair.task, pair.positive)
            choice = choose(ranking, positive, pair.id, rules)
            score = ranking.positives[positive]
            negatives = tuple(pool.passages[row] for row in choice.rows)
            writer.write(replace(pair, negatives=negatives, positive_score=score, negative_scores=tuple(choice.scores)))
            tally.add(pair, score, choice)
    return tally


def _rankings(found: Found, queries: Sequence[Query]) -> Iterator[Ranking]:
    start = 0
    for query, rows, scores in zip(queries, found.rows, found.scores, strict=True):
        end = start + len(query.positives)
        positives = dict(zip(query.positives, found.positives[start:end].tolist(), strict=True))
        yield Ranking(rows, scores, positives, query.query_row)
        start = end
