"""One model set up: its checkpoints, its texts with the right vectors, and every contender loaded."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import reference_encode
from side_by_side.authors import Authors
from side_by_side.contenders import QUERY_PREFIX, Contender, Ours, OursInt8, Vectors, installed
from side_by_side.frameworks import Haystack, LlamaIndex
from side_by_side.machine import matmul_peak, read_bandwidth
from side_by_side.options import Options
from side_by_side.real_tokenizers import write_tokenizer
from side_by_side.rounds import Arm, share_weights
from side_by_side.shapes import config_of
from side_by_side.stock import STBest, STDefault
from side_by_side.texts import Texts, choose, extremes
from side_by_side.weights import Weights, served, write_folder, write_for_peers

KINDS: dict[str, type[Contender]] = {
    "ours": Ours,
    "st-best": STBest,
    "st-default": STDefault,
    "haystack": Haystack,
    "llama-index": LlamaIndex,
    "authors": Authors,
    "ours-int8": OursInt8,
}
SECOND = ("ours", "st-best")
"""Those whose dtype is chosen for them; they take part a second time where the CPU has a faster one."""
IN_EVERY_ROUND = (*SECOND, "ours-auto", "st-best-auto", "ours-int8")
"""The rest stands on sentence-transformers as users run it, which takes more time, and takes part in every second one."""


class Room:
    """Everything that the cases of one model need. :meth:`close` gives memory and disk back."""

    def __init__(self, options: Options, model: str, texts: Texts, folder: Path, store: Path | None) -> None:
        """
        :param options: the user's.
        :param model: short name of a released model.
        :param texts: to choose from.
        :param folder: for what is written; weights stay in memory.
        :param store: for downloaded tokenizers, or None.
        """
        self.options, self.model, self.folder = options, model, folder
        self.plan = options.plan(model)
        self.whole = config_of(model, 0, options.tiny).num_hidden_layers
        self.depths = tuple(sorted({depth or self.whole for depth in self.plan.layers}))
        self.passages = choose(texts.passages, self.plan.passages, options.seed)
        self.queries = choose(texts.queries, self.plan.queries, options.seed)
        self.sample_passages = list(dict.fromkeys([*extremes(texts.passages), *self.passages[:2]]))
        self.sample_queries = list(dict.fromkeys([*extremes(texts.queries), *self.queries[:2]]))
        self.all_passages = texts.passages
        self.configs = {depth: config_of(model, depth, options.tiny) for depth in (*self.depths, self.whole)}
        self.tokenizer = write_tokenizer(folder / "tokenizer", self.configs[self.whole].model_type, store)
        weights = self._write()
        with served(weights):
            self.arms = self._load()
            self.right = {depth: self._reference(depth) for depth in self.depths}
        self.tokens = PromptTokenizer(_tokenizer(self.checkpoint(self.depths[0])), 512)
        self.peaks: dict[str, float] = {}
        self.bandwidth: float | None = None
        """Bytes a second that a CPU reads."""

    def checkpoint(self, depth: int) -> Path:
        """
        The folder that looks like a released one.

        :param depth: layers.
        """
        return self.folder / f"checkpoint-{depth}"

    def exported(self, depth: int) -> Path:
        """
        The folder for sentence-transformers.

        :param depth: layers.
        """
        return self.folder / f"exported-{depth}"

    def lengths(self, case: str) -> list[int]:
        """
        Tokens of each text of a case, template and EOS included.

        :param case: "passages", or one of the others, which are about queries.
        """
        if case == "passages":
            return [len(ids) for ids in self.tokens([passage_prompt(text, title) for title, text in self.passages])]
        return [len(ids) for ids in self.tokens([QUERY_PREFIX + query for query in self.queries])]

    def fresh_arms(self, case: str) -> list[Arm]:
        """
        The contenders of a case with nothing measured yet.

        :param case: one of those that are timed.
        """
        return [
            Arm(arm.name, arm.contender, arm.depth, rests=arm.name not in IN_EVERY_ROUND)
            for arm in self.arms
            if case in arm.contender.cases
        ]

    def measure_limits(self) -> None:
        """Measure what the device does at most, once more: the best of all tries is its limit."""
        tiny, device = self.options.tiny, self.options.device
        for dtype in {self.options.chosen_dtype(), self.options.second_dtype() or self.options.chosen_dtype()}:
            peak = matmul_peak(device, dtype, 256 if tiny else None)
            self.peaks[dtype] = max(peak, self.peaks.get(dtype, 0.0))
        if device == "cpu":
            self.bandwidth = max(read_bandwidth(2**22 if tiny else None), self.bandwidth or 0.0)

    def missing(self) -> list[str]:
        """Contenders that were asked for and are not installed."""
        return [name for name in self.plan.contenders if not installed(KINDS[name])]

    def close(self) -> None:
        """Close the contenders and delete the folders."""
        for arm in self.arms:
            arm.contender.close()
        self.arms.clear()
        gc.collect()
        if self.options.on_cuda:
            torch.cuda.empty_cache()
        shutil.rmtree(self.folder)

    def _write(self) -> dict[Path, Weights]:
        weights: dict[Path, Weights] = {}
        for depth in self.depths:
            config, dtype = self.configs[depth], getattr(torch, self.options.chosen_dtype())
            checkpoint = write_folder(self.checkpoint(depth), config, self.folder / "tokenizer")
            made = Weights(config, self.options.seed, self.options.device, dtype)
            weights |= {checkpoint: made, write_for_peers(checkpoint, self.exported(depth)): made}
        return weights

    def _load(self) -> list[Arm]:
        first, second = self.options.chosen_dtype(), self.options.second_dtype()
        wanted = [(name, name, first) for name in self.plan.contenders if installed(KINDS[name])]
        if second is not None:
            wanted += [(f"{kind}-auto", kind, second) for name, kind, _ in wanted if kind in SECOND]
        arms: list[Arm] = []
        for depth in self.depths:
            where = (self.checkpoint(depth), self.exported(depth), self.options.device)
            for name, kind, dtype in wanted:
                arms.append(Arm(name, KINDS[kind](*where, dtype), depth))
                share_weights(arms)  # at once, so that no more than one copy too many is ever held
        gc.collect()
        return arms

    def _reference(self, depth: int) -> dict[str, Vectors]:
        prompts = [passage_prompt(text, title) for title, text in self.sample_passages]
        prompts += [QUERY_PREFIX + query for query in self.sample_queries]
        vectors = reference_encode(self.checkpoint(depth), prompts, device=self.options.device)
        if not np.isfinite(vectors).all():
            raise FloatingPointError(f"the random {self.model} of {depth} layers gives vectors that are not finite")
        return {"passages": vectors[: len(self.sample_passages)], "queries": vectors[len(self.sample_passages) :]}


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def sample_vectors(arm: Arm, room: Room, case: str) -> Vectors:
    """
    A contender's vectors of the texts whose right vectors are known.

    :param arm: the contender.
    :param room: holds the texts.
    :param case: "one-query" gives them one at a time.
    :returns: *Shape:* (n, width) float32, n up to 5
    """
    if case == "passages":
        return arm.contender.passages(room.sample_passages)
    groups: Sequence[list[str]] = (
        [[query] for query in room.sample_queries] if case == "one-query" else [room.sample_queries]
    )
    return np.concatenate([arm.contender.queries(group) for group in groups])
