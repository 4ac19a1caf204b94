"""Held-out pairs -> nDCG@10 and Recall@10 during training."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from sentence_transformers.base.evaluation import BaseEvaluator
from torch import Tensor

from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.training.pairs.schema import Pair
from bmretriever_integrations.training.stages.collator import pad
from bmretriever_integrations.training.stages.settings import StageSettings

DEPTH = 10
"""Number of ranks that both scores look at."""


class HeldOutEvaluator(BaseEvaluator):  # type: ignore[misc]  # sentence-transformers is skipped by mypy
    """
    Ranks the held-out passages of a task, hard negatives included, for each of its held-out queries.

    There are few passages, so the scores are far above those of a real collection; they show whether training still helps.
    """

    def __init__(self, pairs: list[Pair], tokenizer: PromptTokenizer, settings: StageSettings) -> None:
        """
        :param pairs: the held-out pairs.
        :param tokenizer: tokenizer of the model that is trained.
        :param settings: settings of the stage.
        """
        super().__init__()
        self._tasks: dict[str, list[Pair]] = defaultdict(list)
        for pair in pairs:
            self._tasks[pair.task].append(pair)
        self._tokenizer = tokenizer
        self._settings = settings
        self.primary_metric = "ndcg@10"

    def __call__(
        self,
        model: Any,
        output_path: str | None = None,  # noqa: ARG002
        epoch: float = -1,  # noqa: ARG002
        steps: int = -1,  # noqa: ARG002
    ) -> dict[str, float]:
        """
        Evaluate; the last three parameters are those of the trainer's interface and change nothing.

        :param model: the ``SentenceTransformer`` that is trained.
        :returns: ``ndcg@10`` and ``recall@10``, each the mean over all queries.
        """
        training = model.training
        model.eval()
        with torch.no_grad():
            measured = [row for pairs in self._tasks.values() for row in self._measure(model, pairs).tolist()]
        model.train(training)
        ndcg, recall = torch.tensor(measured).mean(0).tolist()
        return {"ndcg@10": ndcg, "recall@10": recall}

    def _measure(self, model: Any, pairs: list[Pair]) -> Tensor:
        """Compute nDCG@10 and Recall@10 of each query. *Shape:* (queries, 2)"""
        relevant: dict[str, set[str]] = defaultdict(set)
        for pair in pairs:
            relevant[pair.query_prompt].add(pair.positive_prompt)
        negatives = [passage_prompt(text) for pair in pairs for text in pair.negatives]
        passages = list(dict.fromkeys([*(pair.positive_prompt for pair in pairs), *negatives]))
        queries = list(relevant)
        scores = self._embed(model, queries) @ self._embed(model, passages).T
        places = {text: place for place, text in enumerate(passages)}
        gains = torch.zeros(scores.shape)
        for row, query in enumerate(queries):
            gains[row, [places[text] for text in relevant[query]]] = 1
        found = gains.gather(1, scores.topk(min(DEPTH, len(passages)), dim=1).indices)
        discounts = 1 / torch.log2(torch.arange(2, DEPTH + 2))
        count = gains.sum(1)
        ideal = discounts.cumsum(0)[count.clamp(max=DEPTH).long() - 1]
        ndcg = (found * discounts[: found.shape[1]]).sum(1) / ideal
        return torch.stack([ndcg, found.sum(1) / count], dim=1)

    def _embed(self, model: Any, texts: list[str]) -> Tensor:
        ids = self._tokenizer(texts)
        order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
        vectors: list[Tensor] = []
        while len(vectors) < len(order):
            start = len(vectors)
            rows = order[start : start + max(1, self._settings.mini_batch_tokens // len(ids[order[start]]))]
            padded, mask = pad([ids[row] for row in rows], self._tokenizer.eos_id)
            features = {"input_ids": padded.to(model.device), "attention_mask": mask.to(model.device)}
            with torch.autocast(model.device.type, torch.bfloat16, enabled=self._settings.bf16):
                embedded = model(features)["sentence_embedding"]
            vectors.extend(embedded.float().cpu())
        stacked = torch.stack(vectors)[torch.tensor(order).argsort()]
        return stacked if self._settings.similarity == "dot" else torch.nn.functional.normalize(stacked, dim=1)
