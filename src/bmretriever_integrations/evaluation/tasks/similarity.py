"""Read a similarity task from sentence pairs, and read a task folder of any kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.corpus.json_lines import NotJson, read_values
from bmretriever_integrations.evaluation.tasks.retrieval import DEFAULT_MEASURES, Task, files_sha256, load_task

PAIRS = "pairs.jsonl"
"""Name of the file by which a folder is recognised as a similarity task."""


@dataclass(frozen=True, eq=False)
class SimilarityTask:
    """Pairs of sentences, each with a human score of how similar their meanings are."""

    name: str
    """The folder's name."""
    split: str
    """The name of these pairs in the report."""
    left: list[str]
    """The first sentence of each pair."""
    right: list[str]
    """The second sentence of each pair."""
    scores: NDArray[np.float64]
    """*Shape:* (pairs,) the human scores; only their order counts."""
    sha256: str
    """SHA-256 of the file's bytes."""
    measures: tuple[str, ...] = ("Spearman",)

    @property
    def facts(self) -> tuple[str, ...]:
        """Its size, in words."""
        return (f"{len(self.left):,} pairs",)


AnyTask = Task | SimilarityTask


def load_any(
    folder: str | Path,
    split: str = "test",
    measures: tuple[str, ...] | None = None,
    judged_only: bool = False,
    queries_are_documents: bool = False,
) -> AnyTask:
    """
    Read a task folder of any kind. A folder with pairs.jsonl is a similarity task; any other is a BEIR folder.

    :param folder: the task's folder.
    :param split: as in :func:`load_task`.
    :param measures: as in :func:`load_task`; a similarity task always has its own measure.
    :param judged_only: as in :func:`load_task`.
    :param queries_are_documents: as in :func:`load_task`.
    :raises FileNotFoundError: as :func:`load_task` does.
    :raises ValueError: as :func:`load_task` and :func:`load_pairs` do.
    """
    root = Path(folder).expanduser().resolve()
    if (root / PAIRS).is_file():
        return load_pairs(root, split)
    if measures == SimilarityTask.measures:
        raise FileNotFoundError(f"{root} has no {PAIRS} (sentence1, sentence2, score); {root.name} names such a task")
    return load_task(root, split, measures or DEFAULT_MEASURES, judged_only, queries_are_documents)


def load_pairs(folder: Path, split: str) -> SimilarityTask:
    """
    Read a similarity task: pairs.jsonl, each line an object with ``sentence1``, ``sentence2`` and ``score``.

    :param folder: the task's folder; its name is the name of the task.
    :param split: the name of these pairs in the report.
    :raises ValueError: if a line is malformed, with file and line, or if there are fewer than two different scores.
    """
    path = folder / PAIRS
    left, right, scores = [], [], []
    with path.open("rb") as file:
        for number, fields in read_values(file, parse_constant=_refuse):
            try:
                if isinstance(fields, NotJson):
                    raise fields.error
                first, second, score = fields["sentence1"], fields["sentence2"], float(fields["score"])
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise ValueError(
                    f"{path}:{number}: expected sentence1, sentence2 and a number score ({error!r})"
                ) from error
            if not isinstance(first, str) or not isinstance(second, str):
                raise ValueError(f"{path}:{number}: sentence1 and sentence2 must be strings")
            left.append(first)
            right.append(second)
            scores.append(score)
    if len(set(scores)) < 2:
        raise ValueError(
            f"{path} holds {len(scores)} pairs with {len(set(scores))} scores; a correlation needs two or more"
        )
    return SimilarityTask(folder.name, split, left, right, np.array(scores), files_sha256(path))


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no score")
