"""List the ways to compute a vector from a text, right and wrong, one mistake or several at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from bmretriever_integrations.vector_check.wordings import Wording

Start = Literal["own", "none", "added"]
Ending = Literal["eos", "none", "twice", "lost if cut", "beyond the limit"]
Pooling = Literal["last", "mean", "weighted", "max", "first"]

STARTS: dict[Start, str | None] = {"own": None, "none": "no BOS", "added": "a BOS that the tokenizer does not add"}
"""Maps what stands before a text to what is wrong with it."""
ENDINGS: dict[Ending, str | None] = {
    "eos": None,
    "none": "no EOS",
    "twice": "EOS twice",
    "lost if cut": "no EOS where a text was cut",
    "beyond the limit": "EOS added after a cut that left no room for it",
}
"""Maps how a sequence ends to what is wrong with it."""
POOLINGS: dict[Pooling, str | None] = {
    "last": None,
    "mean": "mean pooling instead of the last token",
    "weighted": "weighted mean pooling instead of the last token",
    "max": "max pooling instead of the last token",
    "first": "the first token instead of the last",
}
"""Maps how one vector is made of the tokens' states to what is wrong with it."""
LIMITS = (64, 100, 128, 200, 256, 300, 384, 400, 512, 1024, 2048, 4096, 8192)
"""Most tokens of a text that are tried."""


@dataclass(frozen=True)
class Recipe:
    """A way to compute a vector from a text."""

    wording: Wording
    start: Start
    ending: Ending
    pooling: Pooling
    limit: int
    """The most tokens of a sequence."""
    right_limit: int
    """The most tokens that the vectors should have been made with."""

    @property
    def mistakes(self) -> tuple[str, ...]:
        """What is wrong with it, in a few words each; empty for the right way."""
        cut = None if self.limit == self.right_limit else f"cut at {self.limit:,} tokens, not {self.right_limit:,}"
        parts = (self.wording.mistake, STARTS[self.start], ENDINGS[self.ending], POOLINGS[self.pooling], cut)
        return tuple(part for part in parts if part is not None)

    def sequence(self, ids: Sequence[int], own: Sequence[int], bos: int | None) -> tuple[tuple[int, ...], int]:
        """
        Make the sequence that the network reads.

        :param ids: the prompt's ids without special tokens.
        :param own: what the tokenizer itself puts before a text.
        :param bos: the id of BOS, if there is one.
        :returns: the ids before EOS, and how many EOS follow.
        """
        before = {"own": list(own), "none": [], "added": [] if bos is None else [bos]}[self.start]
        whole = (*before, *ids)
        fits = len(whole) < self.limit
        kept = whole[: self.limit - 1 if self.ending in ("eos", "twice") else self.limit]
        if self.ending == "lost if cut":
            return kept, int(fits)
        return kept, {"none": 0, "twice": 2}.get(self.ending, 1)


def all_recipes(forms: Iterable[Wording], starts: Sequence[Start], right_limit: int) -> list[Recipe]:
    """
    Combine everything that can be wrong, except for the limit of tokens.

    :param forms: the ways to make a prompt.
    :param starts: what may stand before a text.
    :param right_limit: the most tokens that the vectors should have been made with.
    :returns: the ways to compute a vector, those with the fewest mistakes first.
    """
    parts = product(forms, starts, ENDINGS, POOLINGS)
    return _simplest_first(Recipe(*part, right_limit, right_limit) for part in parts)


def with_limits(recipe: Recipe, most: int, also: Iterable[int] = ()) -> list[Recipe]:
    """
    Vary where a way to compute a vector cuts texts, and how it ends them.

    :param recipe: the way.
    :param most: the most tokens that the network can read.
    :param also: limits that are tried beside the usual ones.
    :returns: the ways, those with the fewest mistakes first.
    """
    limits = dict.fromkeys((recipe.right_limit, *(limit for limit in (*LIMITS, *also, most) if limit <= most)))
    return _simplest_first(replace(recipe, ending=ending, limit=limit) for limit, ending in product(limits, ENDINGS))


def _simplest_first(recipes: Iterable[Recipe]) -> list[Recipe]:
    return sorted(recipes, key=lambda recipe: len(recipe.mistakes))
