"""Compute vectors plainly, one text at a time, with transformers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from bmretriever_integrations.checkpoints.loading import load
from bmretriever_integrations.device import resolve_device
from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.vector_check.reading import Text
from bmretriever_integrations.vector_check.recipes import POOLINGS, Pooling, Recipe, Start

MOST_EOS = 2
"""The most EOS that any way to compute a vector appends."""
UNCUT = 1 << 30
"""A length that no text has."""
MOST_TOKENS = 8192
"""The most tokens that are read, because more take too long."""

SequenceIds = tuple[tuple[int, ...], int]


class PlainNetwork:
    """A checkpoint in float32 that remembers what it computed."""

    def __init__(self, model: str, device: str | None) -> None:
        """
        :param model: a short name, a hub id or a folder.
        :param device: e.g. ``"cuda:0"``; None takes the fastest.
        """
        self._device = resolve_device(device)
        loaded = load(model, torch.float32)
        self._network = loaded.network.to(self._device)
        self._tokens = PromptTokenizer(loaded.tokenizer, UNCUT)
        self._bos = loaded.tokenizer.bos_token_id
        self._ids: dict[str, list[int]] = {}
        self._states: dict[tuple[int, ...], dict[tuple[int, Pooling], NDArray[np.float32]]] = {}
        self.width = int(loaded.network.config.hidden_size)
        self.normalizes = loaded.normalizes
        self.most_tokens = min(getattr(loaded.network.config, "max_position_embeddings", MOST_TOKENS), MOST_TOKENS)

    @property
    def starts(self) -> list[Start]:
        """What may stand before a text: what the tokenizer adds, and what others might."""
        others: list[Start] = ["none"] if self._tokens.prefix else ["added"] if self._bos is not None else []
        return ["own", *others]

    def sequence(self, recipe: Recipe, text: Text) -> SequenceIds:
        """
        Make the sequence of a text.

        :param recipe: the way to compute its vector.
        :param text: the text.
        :returns: the ids before EOS, and how many EOS follow.
        """
        prompt = recipe.wording.write(text)
        if prompt not in self._ids:
            self._ids[prompt] = self._tokens([prompt])[0][len(self._tokens.prefix) : -1][:MOST_TOKENS]
        return recipe.sequence(self._ids[prompt], self._tokens.prefix, self._bos)

    def length(self, recipe: Recipe, text: Text) -> int:
        """
        Count the tokens of a text's sequence before any cut.

        :param recipe: the way to compute its vector.
        :param text: the text.
        """
        before, eos = self.sequence(replace(recipe, limit=UNCUT), text)
        return len(before) + eos

    def vectors(self, recipe: Recipe, texts: Sequence[Text]) -> NDArray[np.float32]:
        """
        Compute vectors.

        :param recipe: the way to compute them.
        :param texts: the texts.
        :returns: *Shape:* (n, width) float32; a row of zeros where the sequence is empty
        """
        rows = []
        for text in texts:
            before, eos = self.sequence(recipe, text)
            if before not in self._states:
                self._states[before] = self._pooled(before)
            rows.append(self._states[before][eos, recipe.pooling])
        return np.stack(rows)

    def _pooled(self, before: tuple[int, ...]) -> dict[tuple[int, Pooling], NDArray[np.float32]]:
        """Run one sequence with all its EOS: a causal network's states do not depend on what follows."""
        ids = torch.tensor([[*before, *[self._tokens.eos_id] * MOST_EOS]], device=self._device)
        with torch.no_grad():
            states = self._network(input_ids=ids).last_hidden_state[0].float().cpu()
        return {
            (eos, pooling): _pool(states[: len(before) + eos], pooling).numpy()
            for eos in range(MOST_EOS + 1)
            for pooling in POOLINGS
        }


def _pool(states: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Make one vector of the states of a sequence, which has the shape (tokens, width)."""
    if not len(states):
        return torch.zeros(states.shape[1])
    if pooling == "mean":
        return states.mean(0)
    if pooling == "weighted":
        weights = torch.arange(1.0, len(states) + 1)
        return weights @ states / weights.sum()
    if pooling == "max":
        return states.max(0).values
    return states[0 if pooling == "first" else -1]
