"""Queries that repeat an earlier one."""

from __future__ import annotations

from collections.abc import Hashable

from datasketch import MinHash, MinHashLSH

from bmretriever_integrations.training.synthesis.answers import WORD

SIMILARITY = 0.8
"""Two queries whose character trigrams have at least this Jaccard similarity are repeats. A changed ending makes no new query
(0.90 for "risk" and "risks" in a question of nine words). Words with digits must be equal too, because BRCA1 and BRCA2 in a
question of six words have 0.85."""
PERMUTATIONS = 64
"""Number of hash functions of a MinHash sketch."""


class QueryDuplicates:
    """Remembers queries and finds exact repeats, which differ in case or punctuation at most, and near ones."""

    def __init__(self, similarity: float = SIMILARITY) -> None:
        """
        :param similarity: Jaccard similarity of character trigrams, above 0 and at most 1; 1 finds exact repeats only.
        :raises ValueError: if it is outside that.
        """
        if not 0 < similarity <= 1:
            raise ValueError(f"similarity must be above 0 and at most 1, got {similarity}")
        self._similarity = similarity
        self._seen: set[str] = set()
        self._near = MinHashLSH(threshold=similarity, num_perm=PERMUTATIONS) if similarity < 1 else None

    def kind(self, query: str, group: str = "") -> str | None:
        """
        Tell whether a query repeats an earlier one, and remember it if it does not.

        :param query: the query.
        :param group: a name such as the task; queries of different groups are never repeats of each other.
        :returns: ``"exact"``, ``"near"``, or None.
        """
        words = WORD.findall(query.lower())
        plain = " ".join(words)
        group += " ".join(["", *sorted(word for word in words if any(map(str.isdigit, word)))])
        name = f"{group}\0{plain}"
        if name in self._seen:
            return "exact"
        if self._near is not None and self._is_near(self._near, name, group, plain):
            return "near"
        self._seen.add(name)
        return None

    def _is_near(self, near: MinHashLSH, name: str, group: str, plain: str) -> bool:
        pieces = _trigrams(plain)
        sketch = MinHash(num_perm=PERMUTATIONS, seed=1)
        sketch.update_batch([f"{group}\0{piece}".encode() for piece in sorted(pieces)])
        candidates: list[Hashable] = near.query(sketch)
        for candidate in candidates:  # the sketch estimates the similarity; the sets give it exactly
            other_group, other = str(candidate).split("\0", 1)
            others = _trigrams(other)
            if other_group == group and len(pieces & others) >= self._similarity * len(pieces | others):
                return True
        near.insert(name, sketch)
        return False


def _trigrams(plain: str) -> set[str]:
    padded = f" {plain} "
    return {padded[start : start + 3] for start in range(len(padded) - 2)}
