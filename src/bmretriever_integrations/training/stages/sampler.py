"""Rows -> batches: which pairs are in a step together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import BatchSampler

from bmretriever_integrations.training.stages.settings import StageSettings

PATIENCE = 100
"""Batches in which a row is tried before it is put into one that holds its query or positive already."""


class TaskBatches(BatchSampler):
    """
    Makes all batches of a stage in one pass.

    An epoch shows every row once, in a new order, but for less than a batch of them. Each batch is of one task; only what is
    left of the tasks after their last whole batch, and tasks smaller than a batch, are put into batches together, task after
    task, so that such a batch holds few of them. Within a batch no two rows share a query or a positive, as long as there are
    enough different ones; the loss masks the others.
    """

    def __init__(self, columns: dict[str, Any], settings: StageSettings) -> None:
        """
        :param columns: ``task``, ``query_key``, ``positive_key`` and ``repeats`` of every row, arrays of equal length.
        :param settings: settings of the stage.
        :raises ValueError: if there are fewer different rows than a batch, or nothing that a query could be compared with.
        """
        self.batch_size, self.drop_last = settings.batch_size, True
        self._seed = settings.seed
        self._queries, self._positives = columns["query_key"], columns["positive_key"]
        tasks, repeats = np.asarray(columns["task"]), np.asarray(columns["repeats"])
        _check_different(self._queries[repeats > 0], self._positives[repeats > 0], settings)
        self.pairs = {str(task): int(count) for task, count in zip(*np.unique(tasks, return_counts=True), strict=True)}
        """Number of rows of each task."""
        of_rows = np.repeat(np.arange(len(tasks)), repeats)
        whole = [of_rows[tasks[of_rows] == task] for task in self.pairs] if settings.homogeneous else [of_rows]
        self._groups = [rows for rows in whole if len(rows)]
        self._quotas = _quotas([len(rows) for rows in self._groups], settings.task_exponent)
        epoch = sum(self._quotas) // settings.batch_size
        self.steps = settings.max_steps or max(1, math.ceil((settings.epochs or 1) * epoch))

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        left, epoch = self.steps, 0
        while left:
            for batch in self._epoch(np.random.default_rng((self._seed, epoch)))[:left]:
                yield batch
                left -= 1
            epoch += 1

    def _epoch(self, rng: np.random.Generator) -> list[list[int]]:
        batches: list[list[int]] = []
        rests = []
        for rows, quota in zip(self._groups, self._quotas, strict=True):
            own = _shuffled(rows, quota, rng)
            end = quota - quota % self.batch_size if len(rows) >= self.batch_size else 0
            batches += self._batches(own[:end])
            rests.append(own[end:])
        batches += self._batches(np.concatenate([rests[group] for group in rng.permutation(len(rests))]))
        return [batches[number] for number in rng.permutation(len(batches))]

    def _batches(self, rows: NDArray[np.int64]) -> list[list[int]]:
        """Cut rows into batches in their order; a row that shares a text with one of its batch goes into one of the next."""
        count = len(rows) // self.batch_size
        rows = rows[: count * self.batch_size]
        batches: list[list[int]] = [[] for _ in range(count)]
        seen: list[set[int]] = [set() for _ in range(count)]
        repeated = _repeated(self._queries[rows]) | _repeated(self._positives[rows])
        placed = np.zeros(len(rows), bool)
        for position in np.flatnonzero(repeated):
            row = int(rows[position])
            keys = (int(self._queries[row]), int(self._positives[row]))
            for number in range(min(PATIENCE, count)):
                chosen = (position // self.batch_size + number) % count
                if len(batches[chosen]) < self.batch_size and seen[chosen].isdisjoint(keys):
                    batches[chosen].append(row)
                    seen[chosen].update(keys)
                    placed[position] = True
                    break
        others = iter(rows[~placed].tolist())
        for batch in batches:
            batch.extend(islice(others, self.batch_size - len(batch)))
        return batches


def _repeated(keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    _, numbers, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return np.asarray(counts[numbers] > 1)


def _check_different(queries: NDArray[np.int64], positives: NDArray[np.int64], settings: StageSettings) -> None:
    different = len(np.unique(queries * np.int64(31) ^ positives))  # the product wraps around; equal pairs stay equal
    if different < settings.batch_size:
        raise ValueError(
            f"{len(queries)} pairs are left for training, {different} of them different, fewer than batch_size "
            f"{settings.batch_size}: give more pairs, or lower batch_size or eval_share"
        )
    for name, keys in (("query", queries), ("positive", positives)):
        if not settings.negatives and keys.min() == keys.max():
            raise ValueError(
                f"all pairs have the same {name}, so no other passage is a negative and nothing can be learnt: give pairs of "
                f"several, or mine hard negatives and set negatives above 0"
            )


def _quotas(sizes: list[int], exponent: float) -> list[int]:
    """Give the number of rows that an epoch takes of each task."""
    shares = np.array(sizes, float) ** exponent
    return sizes if exponent == 1 else [math.ceil(part) for part in sum(sizes) * shares / shares.sum()]


def _shuffled(rows: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    rounds = [rng.permutation(rows) for _ in range(math.ceil(count / len(rows)))]
    return np.concatenate(rounds)[:count]
