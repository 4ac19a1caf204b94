"""Know every positive of every query, so that none of them is trained on as a negative of its own query."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.training.pairs.schema import Pair
from bmretriever_integrations.training.stages.sources import text_key


class KnownPositives:
    """The positives of all rows. Eight bytes are kept for each."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        """
        :param pairs: all pairs of a stage; none if it uses no hard negatives.
        """
        keys = (
            _key(pair.query_prompt, passage)
            for pair in pairs
            for passage in (pair.positive_prompt, *map(passage_prompt, pair.other_positives))
        )
        self._keys = np.unique(np.fromiter(keys, np.int64))

    def holds(self, query: str, passage: str) -> bool:
        """
        Tell whether a passage is a positive of a query, in whichever row.

        :param query: the query's prompt.
        :param passage: the passage's prompt.
        """
        key = _key(query, passage)
        place = int(np.searchsorted(self._keys, key))
        return place < len(self._keys) and int(self._keys[place]) == key


def _key(query: str, passage: str) -> int:
    return text_key(f"{query}\0{passage}")
