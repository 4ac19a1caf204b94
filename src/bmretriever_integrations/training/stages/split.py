"""Pairs -> those that are held out for evaluation, so that neither their queries nor their positives are trained on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from bmretriever_integrations.training.pairs.schema import Pair
from bmretriever_integrations.training.stages.settings import StageSettings
from bmretriever_integrations.training.stages.sources import SourceFiles, drawn, text_key


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The pairs that are held out, and the texts of them, by the keys of :func:`~.sources.text_key`."""

    pairs: list[Pair]
    """All pairs of the held-out queries."""
    queries: frozenset[int]
    """Keys of their query prompts."""
    positives: frozenset[int]
    """Keys of their positives' prompts."""


def hold_out(sources: list[SourceFiles], settings: StageSettings) -> HeldOut:
    """
    Choose whole queries, those of the lowest hashes: at most ``eval_share`` of them, with at most ``eval_pairs`` pairs.

    :param sources: the data of the stage.
    :param settings: settings of the stage.
    :raises ValueError: if a row is malformed.
    """
    found: dict[int, list[Pair]] = defaultdict(list)
    count, bound = 0, int(settings.eval_share * 2**64) - 2**63
    if settings.eval_share and settings.eval_pairs:
        for _, pair in drawn(sources, settings.seed):
            key = text_key(pair.query_prompt)
            if key >= bound:
                continue
            found[key].append(pair)
            count += 1
            if count > 2 * settings.eval_pairs:  # of millions of pairs, only those that may stay are kept in memory
                bound = _trim(found, settings.eval_pairs, bound)
                count = sum(map(len, found.values()))
    _trim(found, settings.eval_pairs, bound)
    pairs = [pair for key in sorted(found) for pair in sorted(found[key], key=lambda pair: pair.id)]
    positives = frozenset(text_key(pair.positive_prompt) for pair in pairs)
    return HeldOut(pairs=pairs, queries=frozenset(found), positives=positives)


def _trim(found: dict[int, list[Pair]], limit: int, bound: int) -> int:
    """Keep the queries of the lowest hashes that together have at most ``limit`` pairs, and return the lowest key taken out."""
    count = 0
    for key in sorted(found):
        count += len(found[key])
        if count > limit:
            bound = min(bound, key)
            del found[key]
    return bound
