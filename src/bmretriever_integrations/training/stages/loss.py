"""Vectors -> loss: InfoNCE over in-batch and hard negatives, with masks for positives and optional distillation."""

from __future__ import annotations

from typing import Any

import torch
from sentence_transformers.base.losses.gradcache import CachedLossMixin, _minibatch_ranges
from sentence_transformers.util import all_gather_with_grad
from torch import Tensor, nn
from torch.nn import functional

from bmretriever_integrations.training.stages.settings import StageSettings


def info_nce(logits: Tensor, own: Tensor, allowed: Tensor) -> Tensor:
    """
    Compute the mean over queries of ``-log(exp(positive) / sum(exp(allowed candidates)))``.

    :param logits: similarities divided by the temperature. *Shape:* (queries, candidates)
    :param own: column of each query's positive. *Shape:* (queries,) int64
    :param allowed: whether a candidate counts; each positive does. *Shape:* (queries, candidates) bool
    :returns: the loss. *Shape:* ()
    """
    return functional.cross_entropy(logits.masked_fill(~allowed, -torch.inf), own)


def divergence(logits: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """
    Compute KL(teacher || model) over the candidates of each query that the teacher has scored.

    It is summed over the queries that have scores and divided by the number of all queries.

    :param logits: the model's logits, that of a scored candidate first. *Shape:* (queries, candidates)
    :param scores: the scores of the teacher, or of the miner, in the same order, NaN where there is none.
        *Shape:* (queries, candidates)
    :param temperature: the scores are divided by this.
    :returns: the loss. *Shape:* ()
    """
    known = ~scores.isnan()
    rows = known[:, 0] & (known.sum(1) > 1)  # a distribution needs two scores or more
    count = len(rows)
    known, scores, logits = known[rows], scores[rows], logits[rows]
    teacher = functional.log_softmax((scores / temperature).masked_fill(~known, -torch.inf), dim=1)
    model = functional.log_softmax(logits.masked_fill(~known, -torch.inf), dim=1)
    terms = teacher.exp() * (teacher - model)
    return (
        terms.masked_fill(~known, 0).sum() / count
    )  # by all, so that the mean over processes is the mean over the batch


class StageLoss(CachedLossMixin, nn.Module):  # type: ignore[misc]  # sentence-transformers is skipped by mypy
    """
    The loss of one step on the texts of a batch, over all processes.

    Every passage of the batch is a candidate for every query, except texts known to be its positives: those equal to the positive
    of its own row, or of another row with the same query, wherever in the batch they are. Gradient caching is that of
    sentence-transformers, whose ``CachedMultipleNegativesRankingLoss`` gives the same number where nothing is masked.
    """

    forward_cached: Any  # methods of the mixin, which torch's annotations hide from mypy
    embed_minibatch_iter: Any

    def __init__(self, model: Any, settings: StageSettings) -> None:
        """
        :param model: the ``SentenceTransformer`` that is trained.
        :param settings: settings of the stage.
        """
        super().__init__()
        self.model = model
        self.settings = settings
        self.uses_gradient_cache = settings.gradient_caching and not fits_at_once(settings)
        self.mini_batch_size = 0  # 0 lets the mixin count tokens instead of rows
        self.mini_batch_num_tokens = settings.mini_batch_tokens

    def forward(self, sentence_features: list[dict[str, Tensor]], labels: dict[str, Tensor]) -> Tensor:
        """
        Embed a batch and compute its loss.

        :param sentence_features: one block of texts, as
            :class:`~bmretriever_integrations.training.stages.collator.PromptCollator` makes it.
        :param labels: what the collator gives under ``label``.
        :returns: the loss. *Shape:* ()
        """
        block = sentence_features[0]
        ranges = _minibatch_ranges(block, self.mini_batch_size, self.mini_batch_num_tokens)
        # where several processes train, all must go the same way, and each knows its own texts only
        if self.uses_gradient_cache and (len(ranges) > 1 or _grouped()):
            loss: Tensor = self.forward_cached([block], labels)
            return loss
        parts = self.embed_minibatch_iter(block, with_grad=True, copy_random_state=False, ranges=ranges)
        return self.calculate_loss([[vectors for vectors, _ in parts]], labels)

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: dict[str, Tensor] | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """
        Put vectors into their slots and compare them.

        :param reps: one list with the vectors of each mini-batch. *Shape:* (texts, width) when joined.
        :param labels: as :meth:`forward` takes them.
        :param with_backward: whether to compute the gradients of the vectors at once, which gradient caching needs.
        :returns: the loss. *Shape:* ()
        """
        assert labels is not None
        vectors = torch.cat(reps[0])
        with torch.autocast(vectors.device.type, enabled=False):  # bfloat16 blurs the differences of large logits
            loss = self._compare(vectors.float(), labels)
        if with_backward:
            loss.backward()  # type: ignore[no-untyped-call]
            loss = loss.detach()
        return loss

    def _compare(self, vectors: Tensor, labels: dict[str, Tensor]) -> Tensor:
        rows = len(labels["query_keys"])
        slots = vectors.new_zeros(rows + len(labels["candidate_keys"]), vectors.shape[1])
        slots = slots.index_copy(0, labels["slots"], vectors)
        if self.settings.similarity == "cosine":
            slots = functional.normalize(slots, dim=1)
        queries, candidates = slots[:rows], slots[rows:]
        local = candidates
        start, gathered = 0, _keys(labels)
        if _grouped():
            start = torch.distributed.get_rank() * len(candidates)
            candidates = all_gather_with_grad(candidates)
            gathered = {name: _gather(keys) for name, keys in gathered.items()}
        if self.settings.teacher is not None:
            gathered["taught"] = _taught(labels, gathered)
        own = start + torch.arange(rows, device=queries.device)
        similarities = queries @ candidates.T
        allowed = self._allowed(similarities.detach(), own, labels, gathered)
        loss = info_nce(similarities / self.settings.temperature, own, allowed)
        if not self.settings.distillation:
            return loss
        if self.settings.teacher is not None:
            logits, scores = similarities, gathered["taught"]
        else:
            mine = local.view(-1, rows, local.shape[1])  # (1 + negatives, rows, width)
            logits, scores = torch.einsum("rw,nrw->rn", queries, mine), labels["scores"]
        distilled = divergence(logits / self.settings.temperature, scores, self.settings.distillation_temperature)
        return loss + self.settings.distillation * distilled

    def _allowed(
        self, similarities: Tensor, own: Tensor, labels: dict[str, Tensor], gathered: dict[str, Tensor]
    ) -> Tensor:
        """Tell which candidates count for each query. *Shape:* (queries, candidates) bool"""
        keys = gathered["candidate_keys"]
        texts, numbers = keys.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        same_query = gathered["of_query"] == labels["query_keys"][:, None]
        positives = torch.zeros(len(own), len(texts), dtype=torch.int32, device=keys.device)
        positives.index_add_(
            1, numbers, same_query.int()
        )  # (queries, different texts): how many rows say that it is a positive
        blocked = (keys == 0) | (positives > 0)[:, numbers]
        if self.settings.mask_margin is not None:
            positive = similarities.gather(1, own[:, None])
            blocked |= similarities > positive + self.settings.mask_margin
        teacher = self.settings.teacher
        if teacher is not None and teacher.false_negative_share is not None:
            taught = gathered["taught"]
            blocked |= taught > teacher.false_negative_share * taught.gather(1, own[:, None])
        return (~blocked).scatter(1, own[:, None], True)


def fits_at_once(settings: StageSettings) -> bool:
    """
    Tell whether the texts of a step, cut to their greatest length, are one mini-batch in every process.

    :param settings: settings of the stage.
    """
    processes = torch.distributed.get_world_size() if _grouped() else 1
    texts = settings.batch_size // processes * (2 + settings.negatives)
    return texts * settings.max_length <= settings.mini_batch_tokens


def _grouped() -> bool:
    """Tell whether several processes train together."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _keys(labels: dict[str, Tensor]) -> dict[str, Tensor]:
    """
    Give each candidate's own key, and the key of the query that it is the positive of, 0 for a hard negative.

    With a teacher, they come with the teacher's vectors of the candidates.
    """
    of_query = torch.zeros_like(labels["candidate_keys"])
    of_query[: len(labels["query_keys"])] = labels["query_keys"]
    keys = {"candidate_keys": labels["candidate_keys"], "of_query": of_query}
    return {**keys, "teacher": labels["teacher"][len(labels["query_keys"]) :]} if "teacher" in labels else keys


def _taught(labels: dict[str, Tensor], gathered: dict[str, Tensor]) -> Tensor:
    """Give the teacher's score of each candidate, NaN in a slot without text. *Shape:* (queries, candidates)"""
    scores = labels["teacher"][: len(labels["query_keys"])].float() @ gathered["teacher"].float().T
    return scores.masked_fill(gathered["candidate_keys"] == 0, torch.nan)


def _gather(keys: Tensor) -> Tensor:
    parts = [torch.empty_like(keys) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, keys)
    return torch.cat(parts)
