"""Pairs -> rows of one Arrow file that stays on the disk, and the pairs that are held out for evaluation."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bmretriever_integrations.files import whole_file, write_whole
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.training.pairs.schema import Pair, PairWriter, read_pairs
from bmretriever_integrations.training.stages.known_positives import KnownPositives
from bmretriever_integrations.training.stages.settings import StageSettings
from bmretriever_integrations.training.stages.sources import SourceFiles, drawn, text_key
from bmretriever_integrations.training.stages.split import HeldOut, hold_out
from bmretriever_integrations.training.stages.state import file_hash, read_json, written_whole
from bmretriever_integrations.training.stages.teacher import TeacherVectors

ROW_SCHEMA = pa.schema(
    [
        pa.field("task", pa.string()),
        pa.field("query", pa.string()),  # a prompt: the text in its template, like the next two
        pa.field("positive", pa.string()),
        pa.field("negatives", pa.list_(pa.string())),
        pa.field(
            "scores", pa.list_(pa.float32())
        ),  # the miner's scores of the positive and then of the negatives, or none
        pa.field("query_key", pa.int64()),  # equal for equal prompts
        pa.field("positive_key", pa.int64()),
        pa.field("repeats", pa.int32()),  # how often an epoch shows the row
    ]
)
ROWS_AT_ONCE = 10_000
"""Rows that are written to the Arrow file together."""


@dataclass(frozen=True)
class Rows:
    """What a stage trains on, and what it is evaluated on while it trains."""

    training: Path
    """The Arrow file of the rows, with the columns of :data:`ROW_SCHEMA`."""
    held_out: list[Pair]
    """Pairs that are evaluated, and whose queries and positives are not trained on."""
    left_out: int
    """Number of pairs of other queries that are not trained on, because their positive is a held-out one."""
    instructions: dict[str, str]
    """Each task's instruction; of several, the one that most of its pairs have."""
    teacher: TeacherVectors | None = None
    """The teacher's vectors of all texts; None where none is distilled."""


def prepare(folder: Path, sources: list[SourceFiles], settings: StageSettings) -> Rows:
    """
    Write the rows, unless an earlier start of the same run or the main process has written them; damaged ones are written again.

    :param folder: folder of the run's states.
    :param sources: from :func:`find_sources`.
    :param settings: settings of the stage.
    :raises ValueError: see :func:`write_rows`.
    """
    training, kept, facts = (folder / name for name in ("rows.arrow", "held_out.parquet", "rows.json"))
    if not written_whole(facts):
        folder.mkdir(parents=True, exist_ok=True)
        held = hold_out(sources, settings)
        with whole_file(training) as draft:
            counted = write_rows(draft, sources, settings, held)
        with PairWriter(kept) as writer:
            for pair in held.pairs:
                writer.write(pair)
        hashes = {path.name: file_hash(path) for path in (training, kept)}
        write_whole(facts, json.dumps({**counted, "files": hashes}).encode())
    pairs = list(read_pairs(kept)) if pq.read_metadata(kept).num_rows else []
    counted = read_json(facts)
    return Rows(training, pairs, left_out=counted["left_out"], instructions=counted["instructions"])


def write_rows(path: Path, sources: list[SourceFiles], settings: StageSettings, held: HeldOut) -> dict[str, Any]:
    """
    Write the rows to train on: those whose query and positive are not held out.

    :param path: the Arrow file.
    :param sources: from :func:`find_sources`.
    :param settings: settings of the stage.
    :param held: from :func:`~bmretriever_integrations.training.stages.split.hold_out`.
    :returns: ``left_out`` and ``instructions`` of :class:`Rows`.
    :raises ValueError: if a row is malformed, hard negatives or scores are asked for and no pair has them, a score is no number,
        or too few pairs are left for a batch.
    """
    rows = with_negatives = with_scores = left_out = 0
    instructions: dict[str, Counter[str]] = defaultdict(Counter)
    known = KnownPositives(pair for _, pair in (drawn(sources, settings.seed) if settings.negatives else ()))
    batch: list[dict[str, object]] = []
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, ROW_SCHEMA) as writer:
        for source, pair in drawn(sources, settings.seed):
            if text_key(pair.query_prompt) in held.queries:
                continue
            if text_key(pair.positive_prompt) in held.positives:
                left_out += 1
                continue
            row = _row(pair, source.weight, settings, held.positives, known)
            rows += int(row["repeats"])  # type: ignore[call-overload]
            with_negatives += bool(row["negatives"])
            with_scores += bool(row["scores"])
            instructions[pair.task][pair.instruction] += 1
            batch.append(row)
            if len(batch) == ROWS_AT_ONCE:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=ROW_SCHEMA))
                batch = []
        writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=ROW_SCHEMA))
    _check_rows(settings, rows, with_negatives, with_scores)
    most = {task: counts.most_common(1)[0][0] for task, counts in sorted(instructions.items())}
    return {"left_out": left_out, "instructions": most}


def _row(
    pair: Pair, weight: float, settings: StageSettings, held: Collection[int], known: KnownPositives
) -> dict[str, object]:
    scores = pair.negative_scores or (None,) * len(pair.negatives)
    mined = [(passage_prompt(text), score) for text, score in zip(pair.negatives, scores, strict=False)]
    mined = [(text, score) for text, score in mined if text_key(text) not in held]
    mined = [(text, score) for text, score in mined if not known.holds(pair.query_prompt, text)][: settings.negatives]
    scored = pair.positive_score is not None and bool(pair.negative_scores) and bool(mined)
    if scored and settings.distillation and not settings.teacher:
        _check_scores(pair)
    whole, part = divmod(weight, 1)
    chance = text_key(pair.id) / 2**64 + 0.5 if part else 1.0
    positive = pair.positive_prompt
    return {
        "task": pair.task,
        "query": pair.query_prompt,
        "positive": positive,
        "negatives": [text for text, _ in mined],
        "scores": [pair.positive_score, *(score for _, score in mined)] if scored else [],
        "query_key": text_key(pair.query_prompt),
        "positive_key": text_key(positive),
        "repeats": int(whole) + (chance < part),
    }


def _check_scores(pair: Pair) -> None:
    wrong = [score for score in (pair.positive_score, *pair.negative_scores) if score is None or not isfinite(score)]
    if wrong:
        raise ValueError(
            f"distillation is above 0, but the miner's score of a pair is {wrong[0]} (task {pair.task!r}, query "
            f"{pair.query[:80]!r}): mine again with a miner whose scores are numbers, or set distillation to 0"
        )


def _check_rows(settings: StageSettings, rows: int, with_negatives: int, with_scores: int) -> None:
    if rows < settings.batch_size:
        raise ValueError(
            f"{rows} pairs are left for training, fewer than batch_size {settings.batch_size}: give more pairs, or lower "
            f"batch_size or eval_share"
        )
    if settings.negatives and not with_negatives:
        raise ValueError("negatives is above 0 but no pair has any: mine them first, or set negatives to 0")
    if settings.distillation and not settings.teacher and not with_scores:
        raise ValueError(
            "distillation is above 0 but no pair has the miner's scores: mine them, or set distillation to 0"
        )
