"""Which of a query's candidates become negatives: filters against unlabelled positives, and the draw."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from bmretriever_integrations.training.yaml_settings import Settings

DEPTH = 100
"""Number of ranks that negatives come from (README of ritaranx/BMRetriever: the top 100 documents that are not positives)."""

POSITIVE, QUERY, SKIP = "positive", "equals query", "skip"
DROPS = (POSITIVE, QUERY, SKIP, "max_score", "absolute_margin", "relative_margin")
"""Why a candidate is dropped, in the order of the checks; each candidate counts once."""


class Rules(Settings):
    """Settings of the filters and the draw; the defaults are the paper's rule."""

    negatives: PositiveInt = 1
    """Number of negatives of a pair (the released fine-tuning rows hold one)."""
    depth: PositiveInt = DEPTH
    """Number of the miner's best passages that are looked at, the positives among them included."""
    skip: NonNegativeInt = 0
    """Number of the best candidates to leave out, before other filters: they are the likeliest unlabelled positives
    (sentence-transformers' ``range_min``, which counts after them; NV-Retriever, arXiv 2407.15831, "Top-k shifted by N")."""
    absolute_margin: NonNegativeFloat | None = None
    """Keep a candidate only if its score is at most the positive's minus this (NV-Retriever's "TopK-MarginPos";
    sentence-transformers' ``absolute_margin``)."""
    relative_margin: NonNegativeFloat | None = None
    """Keep a candidate only if its score is at most the positive's minus this share of the positive's magnitude: 0.05 is
    NV-Retriever's "TopK-PercPos" of 95 %, their best (sentence-transformers' ``relative_margin``)."""
    max_score: float | None = None
    """Keep a candidate only if its score is at most this (NV-Retriever's "TopK-Abs"; sentence-transformers' ``max_score``)."""
    margin_from: Literal["lowest", "own"] = "lowest"
    """The positive that margins are measured from: the lowest of the query's (sentence-transformers), or the pair's own."""
    sample: Literal["random", "hardest"] = "random"
    """``random``: drawn evenly from the candidates left (the paper); ``hardest``: the best of them
    (sentence-transformers' ``top``)."""
    seed: NonNegativeInt = 0
    """Seed of the draw. A pair's draw depends on this and its id, not on the pairs around it."""

    @model_validator(mode="after")
    def _enough_candidates(self) -> Self:
        if self.negatives > self.depth - self.skip:
            raise ValueError(
                f"{self.negatives} negatives cannot come from depth {self.depth} less the first {self.skip}: "
                "lower negatives or skip, or raise depth"
            )
        return self


@dataclass(frozen=True, slots=True)
class Ranking:
    """What the miner found for one query."""

    rows: NDArray[np.int32]
    """Rows of the passages, best first; -1 where fewer were found. *Shape:* (depth,) int32"""
    scores: NDArray[np.float32]
    """Scores of these passages. *Shape:* (depth,) float32"""
    positives: dict[int, float]
    """Row of each positive of the query that is in the pool -> its score."""
    query_row: int
    """Row of the passage that equals the query, which is no negative; -1 if there is none."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The negatives of one pair."""

    rows: list[int]
    """Rows of the chosen passages, the hardest first."""
    scores: list[float]
    """The miner's scores of these passages."""
    candidates: int
    """Number of candidates that were left for the draw."""
    dropped: Counter[str]
    """A reason of :data:`DROPS` -> number of candidates dropped for it."""


def choose(ranking: Ranking, positive: int, pair_id: str, rules: Rules) -> Choice:
    """
    Filter a query's candidates and draw a pair's negatives.

    :param ranking: what the miner found for the pair's query.
    :param positive: row of the pair's own positive.
    :param pair_id: the pair's id, part of the draw's seed.
    :param rules: the settings.
    """
    dropped: Counter[str] = Counter()
    limits = _limits(ranking, positive, rules)
    left: list[tuple[int, float]] = []
    candidates = 0
    for row, score in zip(ranking.rows.tolist(), ranking.scores.tolist(), strict=True):
        if row < 0:
            break
        if row in ranking.positives or row == ranking.query_row:
            dropped[POSITIVE if row in ranking.positives else QUERY] += 1
            continue
        candidates += 1
        reason = SKIP if candidates <= rules.skip else next((n for n, most in limits.items() if score > most), None)
        if reason:
            dropped[reason] += 1
        else:
            left.append((row, score))
    taken = left[: rules.negatives]
    if rules.sample == "random" and len(left) > rules.negatives:
        draw = random.Random(f"{rules.seed}:{pair_id}")
        taken = [left[i] for i in sorted(draw.sample(range(len(left)), rules.negatives))]
    return Choice([row for row, _ in taken], [score for _, score in taken], len(left), dropped)


def _limits(ranking: Ranking, positive: int, rules: Rules) -> dict[str, np.float32]:
    """Give the highest score that each filter lets pass, in float32 as the scores are."""
    base = min(ranking.positives.values()) if rules.margin_from == "lowest" else ranking.positives[positive]
    limits: dict[str, float] = {}
    if rules.max_score is not None:
        limits["max_score"] = rules.max_score
    if rules.absolute_margin is not None:
        limits["absolute_margin"] = base - rules.absolute_margin
    if rules.relative_margin is not None:
        limits["relative_margin"] = base - abs(base) * rules.relative_margin
    return {name: np.float32(most) for name, most in limits.items()}
