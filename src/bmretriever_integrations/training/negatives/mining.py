"""The line of a mining run: read, search in chunks, choose, write, report."""

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
from bmretriever_integrations.training.negatives.pool import Pool, Question, Scope, make_pool
from bmretriever_integrations.training.negatives.report import Tally, write_report
from bmretriever_integrations.training.negatives.rules import Ranking, Rules, choose
from bmretriever_integrations.training.negatives.work import keyed_folder, save_arrays
from bmretriever_integrations.training.output_folder import check_output
from bmretriever_integrations.training.pairs.schema import PairWriter, read_pairs

PAIRS, REPORT, WORK = "pairs.parquet", "report.json", "work"
QUESTIONS_AT_ONCE = 2_048
"""Questions of a chunk: what a stopped run may search again; 1.6 MB on disk at the paper's depth of 100."""
CHUNKS_IN_MEMORY = 64
"""Chunks that stay in memory while pairs are written, some 100 MB at that depth; shuffled tasks need several at once."""


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

    Stopped, even by ``kill -9``? The same call goes on and writes the same bytes. Other rules on the same pairs, miner and
    depth search nothing again.

    :param pairs: a .parquet file of pairs, or a folder of them.
    :param output: folder for ``pairs.parquet``, all pairs in their order with ``negatives``, ``positive_score`` and
        ``negative_scores`` set, and ``report.json``. A pair with fewer candidates than wanted gets as many as there are.
        Negatives that a pair already has are replaced, unless they are kept.
    :param miner: what ranks the passages.
    :param rules: depth, filters and draw; None takes the paper's rule.
    :param pool: negatives come from the positives of the pair's own ``task``, or of ``all`` tasks.
    :param further: files of further passages, in reach of every task (:func:`make_pool`).
    :param keep: leave pairs that have negatives as they are.
    :param work: folder of the finished pieces, None for ``work`` in the output folder; may be deleted after the run.
    :param progress: show bars.
    :returns: the report.
    :raises FileNotFoundError: if a file is missing.
    :raises FileExistsError: if ``output`` holds what no mining wrote, or is where the pairs are.
    :raises ValueError: if a file, a setting or the number of a task's passages does not do; nothing is searched then.
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


def _chunks(questions: Sequence[Question]) -> Iterator[range]:
    """Ranges of questions, each of one task."""
    start = 0
    for end in range(1, len(questions) + 1):
        full = end - start == QUESTIONS_AT_ONCE
        if end == len(questions) or full or questions[end].task != questions[start].task:
            yield range(start, end)
            start = end


def _search(pool: Pool, miner: Miner, depth: int, work: Path, progress: bool) -> list[tuple[range, Path]]:
    """Search what no earlier run has; returns the chunks and their files."""
    passages = {"passages": pool.fingerprint(), **miner.settings()}
    settings = {"questions": pool.question_fingerprint(), "depth": depth, "at_once": QUESTIONS_AT_ONCE}
    folder = keyed_folder(work / "found", {**passages, **settings})
    chunks = [(part, folder / f"{n:06}.npz") for n, part in enumerate(_chunks(pool.questions))]
    missing = [(part, path) for part, path in chunks if not path.exists()]
    if not missing:
        return chunks
    miner.prepare(pool.passages, keyed_folder(work / "passages", passages), progress)
    done = len(pool.questions) - sum(len(part) for part, _ in missing)
    with tqdm(
        total=len(pool.questions), initial=done, desc="searching", unit="query", disable=None if progress else True
    ) as bar:
        for part, path in missing:
            questions = pool.questions[part.start : part.stop]
            found = miner.search(questions, pool.reach[questions[0].task], depth)
            save_arrays(path, {"rows": found.rows, "scores": found.scores, "positives": found.positives})
            bar.update(len(part))
    return chunks


def _write(
    pairs: Path, output: Path, pool: Pool, chunks: list[tuple[range, Path]], rules: Rules, *, keep: bool, progress: bool
) -> Tally:
    """Choose every pair's negatives and write it."""
    starts = [part.start for part, _ in chunks]
    tally = Tally(rules.negatives)
    tally.pool(pool)

    @lru_cache(CHUNKS_IN_MEMORY)
    def rankings(chunk: int) -> list[Ranking]:
        part, path = chunks[chunk]
        with np.load(path) as arrays:
            found = Found(arrays["rows"], arrays["scores"], arrays["positives"])
        return list(_rankings(found, pool.questions[part.start : part.stop]))

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


def _rankings(found: Found, questions: Sequence[Question]) -> Iterator[Ranking]:
    start = 0
    for question, rows, scores in zip(questions, found.rows, found.scores, strict=True):
        end = start + len(question.positives)
        positives = dict(zip(question.positives, found.positives[start:end].tolist(), strict=True))
        yield Ranking(rows, scores, positives, question.query_row)
        start = end
