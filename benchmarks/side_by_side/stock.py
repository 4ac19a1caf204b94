"""Plain sentence-transformers: as users run it, and at its best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from bmretriever_integrations.prompts import PASSAGE_PREFIX
from side_by_side.contenders import QUERY_PREFIX, Contender, Vectors
from side_by_side.texts import Passage

BETWEEN = ", batches of "


class STDefault(Contender):
    """sentence-transformers as users run it: model and prompt, everything else as it comes."""

    label = "sentence-transformers, defaults"
    needs = ("sentence_transformers",)

    def __init__(self, checkpoint: Path, exported: Path, device: str, dtype: str) -> None:  # noqa: ARG002
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(exported), device=device)

    def passages(self, passages: Sequence[Passage]) -> Vectors:
        """In batches of 32."""
        return self.model.encode([f"{title} {text}" for title, text in passages], prompt=PASSAGE_PREFIX)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """In batches of 32."""
        return self.model.encode(list(texts), prompt=QUERY_PREFIX)

    def networks(self) -> list[torch.nn.Module]:
        """The one inside the Transformer module."""
        return [self.model[0].model]


class STBest(Contender):
    """sentence-transformers at its best: our dtype, the fastest attention and batch size of those it can have."""

    label = "sentence-transformers, at its best"
    needs = ("sentence_transformers",)

    def __init__(self, checkpoint: Path, exported: Path, device: str, dtype: str) -> None:  # noqa: ARG002
        from sentence_transformers import SentenceTransformer
        from transformers.utils import is_flash_attn_2_available

        flash = device.startswith("cuda") and dtype != "float32" and is_flash_attn_2_available()
        self.models = {
            attention: SentenceTransformer(
                str(exported), device=device, model_kwargs={"dtype": dtype, "attn_implementation": attention}
            )
            for attention in ("sdpa", *(("flash_attention_2",) if flash else ()))
        }
        self.attention, self.batch_size = "sdpa", 32
        self.tried: dict[str, float] = {}

    def passages(self, passages: Sequence[Passage]) -> Vectors:
        """In batches of the best size."""
        return self._encode([f"{title} {text}" for title, text in passages], PASSAGE_PREFIX)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """In batches of the best size."""
        return self._encode(list(texts), QUERY_PREFIX)

    def _encode(self, texts: list[str], prompt: str) -> Vectors:
        return self.models[self.attention].encode(texts, prompt=prompt, batch_size=self.batch_size)

    def tune(self, run: Callable[[], Vectors], sizes: Sequence[int]) -> None:
        """
        Time every attention and batch size, the large ones first, and keep the fastest.

        Where two sizes in a row take twice as long as the best one, smaller ones are left out: a GPU would be at it for minutes.
        What comes near the best is timed a second time, so that no mishap decides.

        :param run: what is to be measured; it brings its vectors back to the host, so nothing is left running.
        :param sizes: batch sizes.
        """
        self.tried = {}
        for attention in self.models:
            self.attention, self.batch_size = attention, min(sizes, key=lambda size: abs(size - 32))
            run()  # nobody times what warms all up
            slow = 0
            for size in sorted(sizes, reverse=True):
                is_slow = self._time(run, attention, size) > 2 * min(self.tried.values(), default=math.inf)
                slow = slow + 1 if is_slow else 0
                if slow == 2:
                    break
        best = min(self.tried.values())
        for name in [name for name, seconds in self.tried.items() if seconds < 1.2 * best]:
            attention, size = name.split(BETWEEN)
            self._time(run, attention, int(size))
        self.attention, size = min(self.tried, key=self.tried.__getitem__).split(BETWEEN)
        self.batch_size = int(size)

    def _time(self, run: Callable[[], Vectors], attention: str, size: int) -> float:
        """Seconds of one run, kept if it is the best at these settings; none where the GPU's memory is too small."""
        self.attention, self.batch_size = attention, size
        start, name = time.perf_counter(), f"{attention}{BETWEEN}{size}"
        try:
            run()
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            return 0.0
        seconds = time.perf_counter() - start
        self.tried[name] = min(seconds, self.tried.get(name, seconds))
        return seconds

    def like(self, other: Contender) -> None:
        """
        Take over the other's attention and batch size.

        :param other: one that was tuned.
        """
        if isinstance(other, STBest):
            self.attention, self.batch_size, self.tried = other.attention, other.batch_size, other.tried

    def networks(self) -> list[torch.nn.Module]:
        """One for each attention."""
        return [model[0].model for model in self.models.values()]

    def settings(self) -> dict[str, Any]:
        """The choice, and the seconds of every trial."""
        return {"attention": self.attention, "batch_size": self.batch_size, "tried": self.tried}
