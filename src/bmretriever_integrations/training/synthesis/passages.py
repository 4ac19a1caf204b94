"""Files -> the passages that get a query."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from bmretriever_integrations.training.pairs.passages import Passage, passages_of


def read_passages(sources: Sequence[Path], licence: str = "") -> list[Passage]:
    """
    Read passages, each text once: from the first source that holds it.

    :param sources: as :func:`~bmretriever_integrations.training.pairs.passages.passages_of` takes them.
    :param licence: licence of documents that state none; pairs have their own.
    :returns: the passages in the order of the sources, held in memory: the round trip ranks among all of them.
    :raises FileNotFoundError: if a source is missing.
    :raises ValueError: if a source holds no passage, is of another kind or malformed.
    """
    seen: dict[str, Passage] = {}
    for source, passages in [
        (source, passages_of(source, licence)) for source in sources
    ]:  # all are checked before one is read
        found = 0
        for passage in passages:
            seen.setdefault(passage.text, passage)
            found += 1
        if not found:
            raise ValueError(f"{source} holds no passage")
    return list(seen.values())


def choose(passages: Sequence[Passage], limit: int | None, words: tuple[int, int], seed: int) -> list[Passage]:
    """
    Choose the passages that get a query.

    :param passages: all passages.
    :param limit: number of passages, drawn at random; None takes all that fit. A higher limit draws the passages of a lower one
        first.
    :param words: fewest and most words of a passage.
    :param seed: seed of the draw.
    :returns: the passages in the order of the draw.
    :raises ValueError: if no passage fits, or limit is below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be 1 or more, got {limit}")
    least, most = words
    fit = [row for row, passage in enumerate(passages) if least <= len(passage.text.split()) <= most]
    if not fit:
        raise ValueError(f"none of the {len(passages):,} passages has {least} to {most} words")
    drawn = random.Random(seed).sample(fit, len(fit))
    return [passages[row] for row in drawn[:limit]]
