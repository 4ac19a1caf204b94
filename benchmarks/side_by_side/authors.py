"""The authors' evaluation loop (eval.py of ritaranx/BMRetriever, described in docs/correctness.md), in our own words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bmretriever_integrations.prompts import passage_prompt
from side_by_side.contenders import QUERY_PREFIX, Contender, Vectors
from side_by_side.texts import Passage

BATCH = 64
"""Rows of a batch, from eval.py's call of BEIR's exact search."""
MAX_LENGTH = 512


class Authors(Contender):
    """Float32 weights under autocast, padding to the left, passages sorted by characters as BEIR's exact search does."""

    label = "the authors' loop"

    def __init__(self, checkpoint: Path, exported: Path, device: str, dtype: str) -> None:  # noqa: ARG002
        from transformers import AutoModel, AutoTokenizer

        self.device = torch.device(device)
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.network = AutoModel.from_pretrained(checkpoint, dtype=torch.float32).to(self.device).eval()

    def passages(self, passages: Sequence[Passage]) -> Vectors:
        """Longest first."""
        order = sorted(range(len(passages)), key=lambda row: -len("".join(passages[row])))
        found = self._encode([passage_prompt(passages[row][1], passages[row][0]) for row in order])
        vectors = np.empty_like(found)
        vectors[order] = found
        return vectors

    def queries(self, texts: Sequence[str]) -> Vectors:
        """In the order given."""
        return self._encode([QUERY_PREFIX + text for text in texts])

    @torch.no_grad()
    def _encode(self, prompts: list[str]) -> Vectors:
        rows = []
        for start in range(0, len(prompts), BATCH):
            texts = prompts[start : start + BATCH]
            cut = self.tokenizer(texts, max_length=MAX_LENGTH - 1, truncation=True)["input_ids"]
            ended = {"input_ids": [[*ids, self.tokenizer.eos_token_id] for ids in cut]}
            batch = self.tokenizer.pad(ended, padding=True, return_tensors="pt").to(self.device)
            with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
                hidden = self.network(**batch).last_hidden_state
            rows.append(hidden[:, -1].float().cpu().numpy())
        return np.concatenate(rows)

    def networks(self) -> list[torch.nn.Module]:
        """Its one."""
        return [self.network]

    def dtype(self) -> str:
        """Of its products: on CUDA autocast makes them float16."""
        return "float16" if self.device.type == "cuda" else "float32"
