"""Rows -> batches: which pairs are in a step together."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import BatchSampler

from bmretriever_integrations.training.stages.settings import StageSettings

MIXED = "mixed"
"""Name of the group of all tasks that are smaller than a batch."""
PATIENCE = 4
"""A batch sets aside up to this many times its size of rows that share a text with it; only then it takes such rows."""


class TaskBatches(BatchSampler):
    """
    Makes all batches of a stage in one pass, each of one task.

    Within a batch no two rows share a query or a positive, as long as the task has enough different ones; the loss masks
    the others. Each epoch has a new order of a task's rows; rows that fill no whole batch are left out of that epoch.
    """

    def __init__(self, columns: dict[str, Any], settings: StageSettings) -> None:
        """
        :param columns: ``task``, ``query_key``, ``positive_key`` and ``repeats`` of every row, arrays of equal length.
        :param settings: settings of the stage.
        :raises ValueError: if there are fewer rows than a batch.
        """
        self.batch_size, self.drop_last = settings.batch_size, True
        self._seed = settings.seed
        self._queries, self._positives = columns["query_key"], columns["positive_key"]
        repeats = np.asarray(columns["repeats"])
        self._groups = _groups(np.asarray(columns["task"]), repeats, settings)
        self.tasks = list(self._groups)
        sizes = np.array([len(rows) for rows in self._groups.values()])
        whole = sizes // settings.batch_size
        shares = sizes.astype(float) ** settings.task_exponent
        equal = settings.task_exponent == 1
        self._counts = whole if equal else np.maximum(1, np.rint(whole.sum() * shares / shares.sum()).astype(int))
        epoch = int(self._counts.sum())
        self.steps = settings.max_steps or max(1, math.ceil((settings.epochs or 1) * epoch))

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        left = self.steps
        epoch = 0
        while left:
            rng = np.random.default_rng((self._seed, epoch))
            streams = [
                self._batches(rows, np.random.default_rng(rng.integers(2**63))) for rows in self._groups.values()
            ]
            for group in rng.permutation(np.repeat(np.arange(len(streams)), self._counts))[:left]:
                yield next(streams[group])
                left -= 1
            epoch += 1

    def _batches(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Iterator[list[int]]:
        fresh = _endless(rows, rng)
        waiting: deque[int] = deque()
        while True:
            batch: list[int] = []
            later: deque[int] = deque()
            seen: set[int] = set()
            while len(batch) < self.batch_size and len(later) < PATIENCE * self.batch_size:
                row = waiting.popleft() if waiting else next(fresh)
                keys = (int(self._queries[row]), int(self._positives[row]))
                if seen.isdisjoint(keys):
                    batch.append(row)
                    seen.update(keys)
                else:
                    later.append(row)
            while len(batch) < self.batch_size:
                batch.append(later.popleft())
            waiting = later + waiting
            yield batch


def _groups(
    tasks: NDArray[np.str_], repeats: NDArray[np.int32], settings: StageSettings
) -> dict[str, NDArray[np.int64]]:
    rows = np.repeat(np.arange(len(tasks)), repeats)
    if len(rows) < settings.batch_size:
        raise ValueError(f"{len(rows)} rows are fewer than batch_size {settings.batch_size}")
    if not settings.homogeneous:
        return {MIXED: rows}
    of_rows = tasks[rows]
    groups = {str(task): rows[of_rows == task] for task in np.unique(of_rows)}
    small = [task for task, own in groups.items() if len(own) < settings.batch_size]
    if small:
        mixed = np.sort(np.concatenate([groups.pop(task) for task in small]))
        if len(mixed) >= settings.batch_size:
            groups[MIXED] = mixed
        elif groups:  # too few for a batch even together: they join the largest task, so that no pair is lost
            largest = max(groups, key=lambda task: len(groups[task]))
            groups[largest] = np.sort(np.concatenate([groups[largest], mixed]))
    return groups


def _endless(rows: NDArray[np.int64], rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(rows).tolist()
