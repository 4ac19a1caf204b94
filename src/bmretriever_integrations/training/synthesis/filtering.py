"""Drafts -> the pairs that are kept: neither repeats nor lost in the round trip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bmretriever_integrations.training.pairs.schema import Pair, PairWriter
from bmretriever_integrations.training.synthesis.asking import EXAMPLES
from bmretriever_integrations.training.synthesis.consistency import RoundTripRetriever
from bmretriever_integrations.training.synthesis.duplicates import QueryDuplicates
from bmretriever_integrations.training.synthesis.levels import Draft


@dataclass
class Kept:
    """What the filters kept, and counts of what they dropped."""

    pairs: list[Pair] = field(default_factory=list)
    """Pairs that are kept."""
    valid: int = 0
    """Number of drafts before the filters."""
    repeats: Counter[str] = field(default_factory=Counter)
    """``exact`` and ``near`` -> number of drafts dropped."""
    inconsistent: int = 0
    """Number of drafts that failed the round trip."""
    retriever: str | None = None
    """Name of the round trip's retriever; None without a round trip."""
    top_k: int = 0
    """A query passes the round trip if its own passage is among the first so many."""
    passages: int = 0
    """Number of passages that the round trip ranked."""
    by_type: dict[str, dict[str, int]] = field(default_factory=dict)
    """Query type -> number of drafts, ``valid`` before the filters and ``kept`` after them."""
    lost: list[dict[str, str]] = field(default_factory=list)
    """The first :data:`~.asking.EXAMPLES` drafts that failed the round trip, with the rank of their passage."""


def check_filters(top_k: int, similarity: float) -> None:
    """
    Refuse settings of :func:`keep` that cannot work; call it before requests are paid for.

    :param top_k: as :func:`keep` takes it.
    :param similarity: as :func:`keep` takes it.
    :raises ValueError: if top_k is below 1, or similarity not above 0 and at most 1.
    """
    if top_k < 1:
        raise ValueError(f"top_k must be 1 or more, got {top_k}")
    QueryDuplicates(similarity)


def keep(
    drafts: Sequence[Draft],
    passages: Sequence[str],
    retriever: RoundTripRetriever | None,
    *,
    top_k: int,
    similarity: float,
) -> Kept:
    """
    Drop repeats, then queries that do not find their passage.

    :param drafts: what the generator wrote.
    :param passages: more passages to rank; positives and negatives of the drafts are always ranked.
    :param retriever: ranks the passages; None keeps every query that is no repeat.
    :param top_k: a query's own passage must be among the first so many.
    :param similarity: queries of one task that are at least so similar are repeats (:class:`~.duplicates.QueryDuplicates`).
    :raises ValueError: as :func:`check_filters`.
    """
    check_filters(top_k, similarity)
    kept = Kept(valid=len(drafts), retriever=retriever.name if retriever else None, top_k=top_k)
    seen = QueryDuplicates(similarity)
    fresh = []
    for draft in drafts:
        counts = kept.by_type.setdefault(draft.query_type, {"valid": 0, "kept": 0})
        counts["valid"] += 1
        repeat = seen.kind(draft.pair.query, draft.pair.task)
        if repeat is None:
            fresh.append(draft)
        else:
            kept.repeats[repeat] += 1
    ranks = _ranks(fresh, passages, retriever, kept)
    for draft, rank in zip(fresh, ranks, strict=True):
        if rank <= top_k:
            kept.pairs.append(draft.pair)
            kept.by_type[draft.query_type]["kept"] += 1
            continue
        kept.inconsistent += 1
        if len(kept.lost) < EXAMPLES:
            kept.lost.append({"rank": str(rank), "query": draft.pair.query, "passage": draft.pair.positive})
    return kept


def _ranks(
    drafts: Sequence[Draft], passages: Sequence[str], retriever: RoundTripRetriever | None, kept: Kept
) -> list[int]:
    if retriever is None:
        return [1] * len(drafts)
    corpus = dict.fromkeys(passages)
    for draft in drafts:
        corpus |= dict.fromkeys((draft.pair.positive, *draft.pair.negatives))
    position = {text: row for row, text in enumerate(corpus)}
    kept.passages = len(corpus)
    own = np.array([position[draft.pair.positive] for draft in drafts], np.int64)
    queries = [draft.pair.query for draft in drafts]
    ranks = retriever.ranks(queries, [draft.pair.instruction for draft in drafts], list(corpus), own)
    return [int(rank) for rank in ranks]


def write_kept(kept: Kept, folder: Path) -> Path | None:
    """
    Write the pairs.

    :param kept: what was kept.
    :param folder: folder of ``pairs.parquet``; an older one is replaced, or removed if nothing was kept.
    :returns: the file, or None if nothing was kept.
    """
    path = folder / "pairs.parquet"
    if not kept.pairs:
        path.unlink(missing_ok=True)
        return None
    with PairWriter(path) as writer:
        for pair in kept.pairs:
            writer.write(pair)
    return path
