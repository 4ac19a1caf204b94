"""A batch of rows -> token ids of all its texts in one block, the longest text first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.training.stages.sources import text_key
from bmretriever_integrations.training.stages.teacher import TeacherVectors

TEXTS = "texts"
"""Name of the only column that the trainer sees."""


class PromptCollator:
    """
    Tokenizes with :class:`~bmretriever_integrations.encoder.tokens.PromptTokenizer`, so that training sees the encoder's ids.

    Slots number the texts of a batch: first the queries, then the positives, then all rows' first negatives, and so on. Texts are
    sorted by length, so that mini-batches cut from the block need little padding.
    """

    valid_label_columns: tuple[str, ...] = ()  # the trainer of sentence-transformers asks for it

    def __init__(self, tokenizer: PromptTokenizer, negatives: int, teacher: TeacherVectors | None = None) -> None:
        """
        :param tokenizer: tokenizer of the model that is trained.
        :param negatives: number of slots for hard negatives of each row.
        :param teacher: the teacher's vectors of all texts; None if nothing is distilled from a teacher.
        """
        self.tokenizer = tokenizer
        self._negatives = negatives
        self._teacher = teacher

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """
        Make one step's input.

        :param rows: rows of :data:`~bmretriever_integrations.training.stages.data.ROW_SCHEMA`.
        :returns: ``texts_input_ids`` and ``texts_attention_mask`` *Shape:* (texts, length) int64, padded on the right; and under
            ``label`` what the loss needs beside the vectors: ``slots`` *Shape:* (texts,) gives the slot of each text,
            ``query_keys`` *Shape:* (rows,), ``candidate_keys`` *Shape:* ((1 + negatives) * rows,), 0 in a slot without text, and
            ``scores`` *Shape:* (rows, 1 + negatives), the miner's scores, NaN where there is none; with a teacher also
            ``teacher`` *Shape:* ((2 + negatives) * rows, its width) float16, zeros in a slot without text.
        """
        if (
            get_worker_info() is not None
        ):  # a forked process lacks the tokenizer's threads and would wait for them for ever
            os.environ["TOKENIZERS_PARALLELISM"] = "false"
        columns = [[row["query"] for row in rows], [row["positive"] for row in rows]]
        for number in range(self._negatives):
            columns.append([row["negatives"][number] if number < len(row["negatives"]) else None for row in rows])
        slots = [text for column in columns for text in column]
        present = [slot for slot, text in enumerate(slots) if text is not None]
        ids = self.tokenizer([slots[slot] for slot in present])
        order = sorted(range(len(present)), key=lambda position: -len(ids[position]))
        keys = [0 if text is None else text_key(text) for text in slots[len(rows) :]]
        scores = np.full((len(rows), 1 + self._negatives), np.nan, np.float32)
        for row, content in enumerate(rows):
            scores[row, : len(content["scores"])] = content["scores"]
        padded, mask = pad([ids[position] for position in order], self.tokenizer.eos_id)
        queries = [row["query_key"] for row in rows]
        labels = {
            "slots": torch.tensor([present[position] for position in order]),
            "query_keys": torch.tensor(queries),
            "candidate_keys": torch.tensor(keys),
            "scores": torch.from_numpy(scores),
        }
        if self._teacher is not None:
            labels["teacher"] = torch.from_numpy(self._teacher.of([*queries, *keys]))
        return {f"{TEXTS}_input_ids": padded, f"{TEXTS}_attention_mask": mask, "label": labels}


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """
    Pad rows of different lengths on the right.

    :param rows: token ids of each text.
    :param pad_id: id of the padding; a causal decoder never attends to it.
    :returns: ids and attention mask. *Shape:* (rows, length) int64 each.
    """
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    ids = np.full((len(rows), int(lengths.max())), pad_id, np.int64)
    mask = np.arange(ids.shape[1]) < lengths[:, None]
    ids[mask] = np.concatenate([np.asarray(row, np.int64) for row in rows])
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))
