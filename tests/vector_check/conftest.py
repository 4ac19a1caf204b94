"""Texts, and vectors of them with one mistake or several, computed with transformers alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bmretriever_integrations.checkpoints.loading import load
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.vector_check import check

WORDS = "aspirin stroke insulin glucose tumour biopsy enzyme receptor placebo cohort dose trial".split()  # noqa: SIM905


@dataclass
class Maker:
    """Makes vectors of texts as a careless program might."""

    folder: str
    rows: list[dict[str, str]]
    dtype: torch.dtype = torch.float32
    states: dict[tuple[int, ...], torch.Tensor] = field(default_factory=dict)
    """What the network makes of token ids: most mistakes share some with the right way."""

    def __post_init__(self) -> None:
        loaded = load(self.folder, self.dtype)
        self.tokenizer, self.network = loaded.tokenizer, loaded.network

    def __call__(
        self,
        prompt: Callable[[dict[str, str]], str] = lambda row: passage_prompt(row["text"], row["title"]),
        *,
        eos: str = "right",
        bos: bool = True,
        pooling: str = "last",
        limit: int = 512,
    ) -> NDArray[np.float32]:
        return np.stack([self._vector(prompt(row), eos, bos, pooling, limit) for row in self.rows])

    def _vector(self, prompt: str, eos: str, bos: bool, pooling: str, limit: int) -> Any:
        end = [self.tokenizer.eos_token_id]
        ids = self.tokenizer(prompt, add_special_tokens=bos)["input_ids"]
        ids = ids[:-1] if ids[-1:] == end else ids  # the tokenizer of mini appends EOS itself
        ids = {
            "right": ids[: limit - 1] + end,
            "none": ids[:limit],
            "twice": ids[: limit - 1] + end * 2,
            "before the cut": (ids + end)[:limit],
            "after the cut": ids[:limit] + end,
        }[eos]
        if (key := tuple(ids)) not in self.states:
            with torch.no_grad():
                self.states[key] = self.network(input_ids=torch.tensor([ids])).last_hidden_state[0].float()
        states = self.states[key]
        return {"last": states[-1], "mean": states.mean(0), "max": states.max(0).values}[pooling].numpy()


@pytest.fixture(scope="module", autouse=True)
def _networks_are_shared() -> Iterator[None]:
    """The checks of a model compute the vectors of the same texts in the same ways: once is enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "PlainNetwork", cache(check.PlainNetwork))
        yield


@pytest.fixture(scope="session")
def rows() -> list[dict[str, str]]:
    """Forty short texts with titles, and two that no limit leaves whole."""
    random = np.random.default_rng(0)
    lengths = [*random.integers(5, 30, 40), 600, 900]
    return [
        {"_id": str(i), "title": " ".join(random.choice(WORDS, 3)), "text": " ".join(random.choice(WORDS, count))}
        for i, count in enumerate(lengths)
    ]


@pytest.fixture(scope="session")
def maker(tiny, rows) -> Callable[..., Maker]:
    """A function: an architecture or "mini", number type -> what makes vectors of the texts."""
    made: dict[Any, Maker] = {}

    def make(model: str, dtype: torch.dtype = torch.float32) -> Maker:
        if (model, dtype) not in made:
            made[model, dtype] = Maker("mini" if model == "mini" else str(tiny(model)), rows, dtype)
        return made[model, dtype]

    return make


@pytest.fixture
def files(tmp_path: Path, rows) -> Callable[[NDArray[Any]], tuple[Path, Path]]:
    """A function: vectors -> the files of vectors and texts."""

    def write(vectors: NDArray[Any]) -> tuple[Path, Path]:
        np.save(tmp_path / "vectors.npy", vectors)
        (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return tmp_path / "vectors.npy", tmp_path / "texts.jsonl"

    return write
