"""
The instruction's keys and values, computed once and reused.

All queries of one task begin with the same tokens, and in a causal decoder nothing that follows changes them. So the network
runs on them once; later batches run on what is left of each row and look the rest up. What is shared is read off the token ids
themselves, so it is exact by construction: where a tokenizer merges the end of the template with the text, those ids differ from
row to row and are not shared.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from bmretriever_integrations.forward.layout import Prefix

KEPT = 16
"""How many prefixes an engine keeps: those used last. One of 30 tokens takes 6 MB at 410M in float32, 4 MB at 7B in bfloat16."""


class PrefixCache:
    """Prefixes by their ids. The runner's lock is held while it is called, so one thread at a time uses it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, ids: tuple[int, ...], compute: Callable[[tuple[int, ...]], Prefix]) -> Prefix:
        """
        Look a prefix up, or compute it and let the one go that was not used for longest.

        :param ids: token ids, BOS included.
        :param compute: runs the network on them.
        """
        if ids not in self._kept:
            self._kept[ids] = compute(ids)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(ids)
        return self._kept[ids]
