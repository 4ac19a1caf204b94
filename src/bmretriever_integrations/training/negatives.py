"""Hard negatives: passages that a miner ranks high for a query and that are not its positive."""

from __future__ import annotations

import random
from collections.abc import Sequence

from bmretriever_integrations.training.pairs import Pair

TOP = 100
"""Depth that negatives are drawn from (BMRetriever's README: the top 100 documents retrieved)."""


def mine_bm25(pairs: Sequence[Pair], seed: int) -> list[str]:
    """
    Draw one hard negative for every pair from BM25's top 100 among the positives of its own task.

    :param pairs: pairs of one task, so that a negative is of the same kind as the positive.
    :param seed: of the draw.
    :returns: one passage prompt a pair, never equal to its positive nor to a positive of the same query.
    :raises ValueError: if a query has no other passage to draw from.
    """
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    passages = sorted({pair.positive for pair in pairs})
    own: dict[str, set[str]] = {}
    for pair in pairs:
        own.setdefault(pair.query, set()).add(pair.positive)
    index = bm25s.BM25(k1=0.9, b=0.4)
    index.index(bm25s.tokenize(passages, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    bare = [pair.query.split("\nQuery: ", 1)[-1] for pair in pairs]
    tokens = bm25s.tokenize(bare, stopwords="en", stemmer=stemmer, show_progress=False)
    ranked = index.retrieve(tokens, k=min(TOP, len(passages)), show_progress=False).documents
    draw = random.Random(seed)
    negatives = []
    for pair, row in zip(pairs, ranked, strict=True):
        candidates = [passages[i] for i in row if passages[i] not in own[pair.query]]
        if not candidates:
            raise ValueError(f"task {pair.task!r} has too few passages to draw a negative for {pair.query!r}")
        negatives.append(draw.choice(candidates))
    return negatives
