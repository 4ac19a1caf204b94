"""Pairs -> rows of one Arrow file that stays on the disk, and the pairs that are held out for evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.training.pairs.schema import Pair, PairWriter, pair_files, read_pairs
from bmretriever_integrations.training.stages.settings import DataSettings, StageSettings

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


@dataclass(frozen=True, kw_only=True)
class SourceFiles:
    """The files of one source of the settings, found and checked."""

    settings: DataSettings
    """The source as the settings name it."""
    files: tuple[Path, ...]
    """Parquet files of pairs, in the order of their names."""
    rows: int
    """Number of pairs in all files."""


@dataclass(frozen=True)
class Rows:
    """What a stage trains on, and what it is evaluated on while it trains."""

    training: Path
    """The Arrow file of the rows, with the columns of :data:`ROW_SCHEMA`."""
    held_out: list[Pair]
    """Pairs that are not trained on."""


def find_sources(data: Path, settings: StageSettings) -> list[SourceFiles]:
    """
    Check every file before anything is read.

    :param data: the data folder, or one .parquet file.
    :param settings: settings of the stage.
    :raises FileNotFoundError: if a source is missing.
    :raises ValueError: if a file holds no pairs, or all sources together hold fewer pairs than a batch.
    """
    wanted = settings.data or (DataSettings(path=""),)
    sources = []
    for source in wanted:
        files = tuple(pair_files(data / source.path if source.path else data))
        sources.append(
            SourceFiles(settings=source, files=files, rows=sum(pq.read_metadata(file).num_rows for file in files))
        )
    shown = sum(min(source.rows, source.settings.limit or source.rows) * source.settings.weight for source in sources)
    if shown < settings.batch_size:
        raise ValueError(
            f"{data} has {shown:.0f} pairs, fewer than batch_size {settings.batch_size}: give more, or lower it"
        )
    return sources


def prepare(folder: Path, sources: list[SourceFiles], settings: StageSettings) -> Rows:
    """
    Write the rows, unless an earlier start of the same run or the main process has written them.

    :param folder: folder of the run's states.
    :param sources: from :func:`find_sources`.
    :param settings: settings of the stage.
    :raises ValueError: see :func:`write_rows`.
    """
    training, kept = folder / "rows.arrow", folder / "held_out.parquet"
    if not training.exists():
        held_out = write_rows(training.with_suffix(".new"), sources, settings)
        with PairWriter(kept) as writer:
            for pair in held_out:
                writer.write(pair)
        training.with_suffix(".new").replace(training)
    return Rows(training, list(read_pairs(kept)) if pq.read_metadata(kept).num_rows else [])


def write_rows(path: Path, sources: list[SourceFiles], settings: StageSettings) -> list[Pair]:
    """
    Write the training rows, and return the pairs held out of them.

    :param path: the Arrow file.
    :param sources: from :func:`find_sources`.
    :param settings: settings of the stage.
    :returns: at most ``eval_pairs`` held-out pairs, those whose queries have the lowest hashes.
    :raises ValueError: if a row is malformed, hard negatives or scores are asked for and no pair has them, or too few pairs
        are left for a batch.
    """
    held_out: list[tuple[int, Pair]] = []
    rows = with_negatives = with_scores = 0
    batch: list[dict[str, object]] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, ROW_SCHEMA) as writer:
        for source, pair in _drawn(sources, settings.seed):
            key = text_key(pair.query_prompt)
            if _is_held_out(key, settings.eval_share):
                held_out.append((key, pair))
                held_out = _lowest(held_out, settings.eval_pairs, slack=1000)
                continue
            row = _row(pair, key, source.weight, settings)
            rows += int(row["repeats"])  # type: ignore[call-overload]
            with_negatives += bool(row["negatives"])
            with_scores += bool(row["scores"])
            batch.append(row)
            if len(batch) == ROWS_AT_ONCE:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=ROW_SCHEMA))
                batch = []
        writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=ROW_SCHEMA))
    _check_rows(settings, rows, with_negatives, with_scores)
    return [pair for _, pair in _lowest(held_out, settings.eval_pairs)]


def text_key(text: str) -> int:
    """
    Give a text a number by which it is compared: different texts practically never have the same one. It is never 0.

    :param text: a prompt.
    """
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big", signed=True) or 1


def _drawn(sources: list[SourceFiles], seed: int) -> Iterator[tuple[DataSettings, Pair]]:
    for number, source in enumerate(sources):
        limit = source.settings.limit
        kept = None
        if limit is not None and limit < source.rows:
            kept = np.zeros(source.rows, bool)
            kept[np.random.default_rng((seed, number)).choice(source.rows, limit, replace=False)] = True
        position = 0
        for file in source.files:
            for pair in read_pairs(file):
                if kept is None or kept[position]:
                    yield source.settings, pair
                position += 1


def _row(pair: Pair, key: int, weight: float, settings: StageSettings) -> dict[str, object]:
    negatives = [passage_prompt(text) for text in pair.negatives[: settings.negatives]]
    scored = pair.positive_score is not None and len(pair.negative_scores) >= len(negatives) > 0
    whole, part = divmod(weight, 1)
    chance = text_key(pair.id) / 2**64 + 0.5 if part else 1.0
    positive = pair.positive_prompt
    return {
        "task": pair.task,
        "query": pair.query_prompt,
        "positive": positive,
        "negatives": negatives,
        "scores": [pair.positive_score, *pair.negative_scores[: len(negatives)]] if scored else [],
        "query_key": key,
        "positive_key": text_key(positive),
        "repeats": int(whole) + (chance < part),
    }


def _is_held_out(key: int, share: float) -> bool:
    return (key + 2**63) < share * 2**64


def _lowest(found: list[tuple[int, Pair]], count: int, slack: int = 0) -> list[tuple[int, Pair]]:
    """Keep the pairs of lowest query hash; sorting waits until ``slack`` more are there."""
    if len(found) <= count + slack and slack:
        return found
    return sorted(found, key=lambda entry: (entry[0], entry[1].id))[:count]


def _check_rows(settings: StageSettings, rows: int, with_negatives: int, with_scores: int) -> None:
    if rows < settings.batch_size:
        raise ValueError(
            f"{rows} pairs are left for training, fewer than batch_size {settings.batch_size}: give more pairs, or lower "
            f"batch_size or eval_share"
        )
    if settings.negatives and not with_negatives:
        raise ValueError("negatives is above 0 but no pair has any: mine them first, or set negatives to 0")
    if settings.distillation and not with_scores:
        raise ValueError(
            "distillation is above 0 but no pair has the miner's scores: mine them, or set distillation to 0"
        )
