"""Which pairs of a row are kept, and which of its further positives and hard negatives stay with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from bmretriever_integrations.training.pairs.duplicates import EXACT, Duplicates
from bmretriever_integrations.training.pairs.filters import PairFilter
from bmretriever_integrations.training.pairs.protected import PROTECTED, Protected
from bmretriever_integrations.training.pairs.report import BuildReport
from bmretriever_integrations.training.pairs.schema import Pair
from bmretriever_integrations.training.pairs.settings import Plan
from bmretriever_integrations.training.pairs.words import text_hash, words_of


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair that may be kept."""

    pair: Pair
    title: str
    """Title of its document; empty if there is none."""
    identity: str
    """Id of its document; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Group:
    """What one row gives."""

    labelled: bool
    """Whether the row has a query and positives of its own."""
    candidates: list[Candidate] = field(default_factory=list)
    beyond: list[Pair] = field(default_factory=list)
    """Pairs over a limit of the source; their positives answer the query all the same."""


class Selection:
    """Keeps the pairs that break no rule, and counts the others by rule."""

    def __init__(self, plan: Plan, report: BuildReport) -> None:
        """
        :param plan: the settings.
        :param report: counts what is kept and dropped.
        :raises FileNotFoundError: if an evaluation set is missing.
        :raises ValueError: if an evaluation set is malformed.
        """
        self._filter = PairFilter(plan.filters)
        self._duplicates = Duplicates(plan.filters.near_duplicates)
        self._protected = Protected(plan)
        self._report = report

    def select(self, groups: Iterator[Group]) -> Iterator[Pair]:
        """
        Keep pairs, row by row.

        :param groups: the rows in their order.
        """
        for group in groups:
            kept, lost = [], list(group.beyond)
            for candidate in group.candidates:
                self._report.made += 1
                reason = self._reason(candidate, by_query=group.labelled)
                if reason is None:
                    self._report.kept[candidate.pair.task] += 1
                    kept.append(candidate.pair)
                else:
                    self._report.dropped[reason] += 1
                    lost += [] if reason == EXACT else [candidate.pair]
            yield from self._with_the_rest(kept, [pair.positive for pair in lost]) if group.labelled and kept else kept

    def _reason(self, candidate: Candidate, by_query: bool) -> str | None:
        pair = candidate.pair
        query, positive = words_of(pair.query), words_of(pair.positive)
        return (
            self._filter.reason(pair, query, positive)
            or self._protected.reason(query, positive, candidate.title, candidate.identity)
            or self._duplicates.kind(query, positive, by_query)
        )

    def _with_the_rest(self, pairs: list[Pair], lost: Sequence[str]) -> Iterator[Pair]:
        """Give the pairs of one labelled row its other positives and its hard negatives, without those that are protected."""
        others = tuple(text for text in dict.fromkeys(lost) if not self._is_protected(words_of(text)))
        positives = {text_hash(words_of(text)) for text in (*lost, *(pair.positive for pair in pairs))}
        places = self._negatives(pairs[0], positives)
        self._report.negatives += len(places)
        self._report.other_positives += len(others)
        for pair in pairs:
            scores = pair.negative_scores and tuple(pair.negative_scores[place] for place in places)
            negatives = tuple(pair.negatives[place].strip() for place in places)
            yield replace(pair, negatives=negatives, negative_scores=scores, other_positives=others)

    def _negatives(self, pair: Pair, positives: set[int]) -> list[int]:
        """Find the places of the hard negatives that stay."""
        places: list[int] = []
        seen: set[int] = set()
        for place, text in enumerate(pair.negatives):
            words = words_of(text)
            number = text_hash(words)
            reasons = {
                "empty": not words,
                "a positive": number in positives,
                "equals the query": words == words_of(pair.query),
                "repeated": number in seen,
            }
            reason = next((name for name, broken in reasons.items() if broken), None)
            if reason is None and self._is_protected(words):
                reason = f"{PROTECTED} text"
            if reason is None:
                seen.add(number)
                places.append(place)
            else:
                self._report.dropped_negatives[reason] += 1
        return places

    def _is_protected(self, words: list[str]) -> bool:
        return self._protected.reason(words, words) is not None  # also if it is a query or a title of an evaluation set

    @property
    def nbytes(self) -> int:
        """Return the memory that the search for duplicates takes, in bytes."""
        return self._duplicates.nbytes
