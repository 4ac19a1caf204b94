"""Where the passages come from: pairs that are there already, or a corpus."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bmretriever_integrations.corpus import read_corpus
from bmretriever_integrations.training.pairs.schema import read_pairs


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage to write a query for."""

    id: str
    """Where it comes from: the pair's source and id, or the corpus file's record id."""
    text: str
    """Title and text joined."""
    licence: str


def read_passages(sources: Sequence[Path], licence: str = "") -> list[Passage]:
    """
    Read passages; each text once, whoever holds it first.

    :param sources: parquet files of pairs, or folders of them (their positives are taken), and corpus files as
        :func:`~bmretriever_integrations.corpus.read_corpus` takes them.
    :param licence: of the corpus files' texts, which name none themselves; pairs bring their own.
    :returns: the passages in the order of the sources, held in memory: the round trip ranks among all of them.
    :raises FileNotFoundError: if a source is missing.
    :raises ValueError: if a source holds no passage or is of another kind.
    """
    seen: dict[str, Passage] = {}
    for source in sources:
        before = len(seen)
        for passage in _read(source, licence):
            if passage.text:
                seen.setdefault(passage.text, passage)
        if before == len(seen) == 0:
            raise ValueError(f"{source} holds no passage")
    return list(seen.values())


def choose(passages: Sequence[Passage], limit: int | None, words: tuple[int, int], seed: int) -> list[Passage]:
    """
    Choose the passages that get a query.

    :param passages: all.
    :param limit: how many, drawn at random; None takes all that fit. A higher limit keeps the choice of a lower one.
    :param words: least and most words of a passage.
    :param seed: of the draw.
    :returns: in the order of the draw.
    :raises ValueError: if none fits, or limit is below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be 1 or more, got {limit}")
    least, most = words
    fit = [row for row, passage in enumerate(passages) if least <= len(passage.text.split()) <= most]
    if not fit:
        raise ValueError(f"none of the {len(passages):,} passages has {least} to {most} words")
    drawn = random.Random(seed).sample(fit, len(fit))
    return [passages[row] for row in drawn[:limit]]


def _read(source: Path, licence: str) -> Iterator[Passage]:
    if source.is_dir() or source.suffix == ".parquet":
        for pair in read_pairs(source):
            yield Passage(f"{pair.source or source.name}#{pair.id}", pair.positive.strip(), pair.licence)
        return
    for record in read_corpus([source]):
        joined = f"{record.title} {record.text}".strip()
        yield Passage(f"{source.name}#{record.id}", joined, licence)
