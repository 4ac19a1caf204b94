"""What a search returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Hit:
    """A record that a search found."""

    rank: int
    """Place in the list; the best hit has 1."""
    score: float
    """Inner product of the two vectors in mode "vector", BM25 in mode "text", 0 to 1 in mode "hybrid"."""
    id: str
    title: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the source says of the record; see :meth:`~bmretriever_integrations.corpus.metadata.Metadata.facts`."""
    from_vectors: float | None = None
    """
    What the score has from the vectors in mode "hybrid": 0 if the record is not among the best by vectors, or the last of them.
    None in the other modes.
    """
    from_words: float | None = None
    """What it has from the words, in the same way. Both parts add up to the score."""


class Hits(list[Hit]):
    """The hits of one question, best first, and what was left out of them."""

    def __init__(self, hits: Iterable[Hit] = (), *, retracted_left_out: int = 0, seconds: float = 0.0) -> None:
        """
        :param hits: best first.
        :param retracted_left_out: the number of retracted papers that would stand among the hits.
        :param seconds: how long the index took to find them, without the model; of several questions, their mean.
        """
        super().__init__(hits)
        self.retracted_left_out = retracted_left_out
        self.seconds = seconds
