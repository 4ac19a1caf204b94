"""Data folder -> the files of pairs that the settings name, checked, and their pairs one after another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bmretriever_integrations.training.pairs.schema import Pair, pair_files, read_pairs
from bmretriever_integrations.training.stages.settings import DataSettings, StageSettings


@dataclass(frozen=True, kw_only=True)
class SourceFiles:
    """The files of one source of the settings, found and checked."""

    settings: DataSettings
    """The source as the settings name it."""
    files: tuple[Path, ...]
    """Parquet files of pairs, in the order of their names."""
    rows: int
    """Number of pairs in all files."""


def find_sources(data: Path, settings: StageSettings) -> list[SourceFiles]:
    """
    Check every file before anything is read.

    :param data: the data folder, or one .parquet file.
    :param settings: settings of the stage.
    :raises FileNotFoundError: if a source is missing.
    :raises ValueError: if a file holds no pairs, or all sources together hold fewer pairs than a batch.
    """
    sources = []
    for source in settings.data or (DataSettings(path=""),):
        files = tuple(_files(data, source.path))
        sources.append(
            SourceFiles(settings=source, files=files, rows=sum(pq.read_metadata(file).num_rows for file in files))
        )
    shown = sum(min(source.rows, source.settings.limit or source.rows) * source.settings.weight for source in sources)
    if shown < settings.batch_size:
        raise ValueError(
            f"{data} has {shown:.0f} pairs, fewer than batch_size {settings.batch_size}: give more, or lower it"
        )
    return sources


def _files(data: Path, path: str) -> list[Path]:
    if not path:
        return pair_files(data)
    try:
        return pair_files(data / path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}. The recipe's data names {path}; with data: [] (--set data=[]) all pairs of {data} are taken"
        ) from None


def drawn(sources: list[SourceFiles], seed: int) -> Iterator[tuple[DataSettings, Pair]]:
    """
    Read the pairs of all sources, each with the settings of its source; a source with a limit gives pairs drawn by the seed.

    :param sources: from :func:`find_sources`.
    :param seed: seed of the stage.
    :raises ValueError: if a row is malformed.
    """
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


def text_key(text: str) -> int:
    """
    Give a text a number by which it is compared: different texts practically never have the same one. It is never 0.

    :param text: a prompt.
    """
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big", signed=True) or 1
