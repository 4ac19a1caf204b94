"""What a mining run did: counts for each task, as JSON and as a table, and examples to look at."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bmretriever_integrations.files import write_whole
from bmretriever_integrations.terminal.characters import printable
from bmretriever_integrations.training.negatives.pool import Pool
from bmretriever_integrations.training.negatives.rules import DROPS, Choice
from bmretriever_integrations.training.pairs.schema import Pair, read_pairs

SHOWN_CHARACTERS = 300
"""Most characters of a text that an example shows."""


@dataclass(slots=True)
class _Task:
    passages: int = 0
    queries: int = 0
    pairs: int = 0
    negatives: int = 0
    too_few: int = 0
    none: int = 0
    replaced: int = 0
    kept: int = 0
    candidates: int = 0
    positive_scores: float = 0.0
    negative_scores: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)


class Tally:
    """Counts what happens to the pairs while they are written."""

    def __init__(self, wanted: int) -> None:
        """
        :param wanted: number of negatives that a pair should get.
        """
        self._wanted = wanted
        self._tasks: dict[str, _Task] = {}

    def pool(self, pool: Pool) -> None:
        """
        Count the passages in reach and the queries of each task.

        :param pool: all texts of the run.
        """
        for task, reach in pool.reach.items():
            self._tasks[task] = _Task(passages=sum(map(len, reach)))
        for query in pool.queries:
            self._tasks[query.task].queries += 1

    def add(self, pair: Pair, positive_score: float, choice: Choice) -> None:
        """
        Count a pair.

        :param pair: as it was read.
        :param positive_score: the miner's score of its positive.
        :param choice: its negatives.
        """
        row = self._tasks[pair.task]
        row.replaced += bool(pair.negatives)
        row.pairs += 1
        row.negatives += len(choice.rows)
        row.too_few += len(choice.rows) < self._wanted
        row.none += not choice.rows
        row.candidates += choice.candidates
        row.positive_scores += positive_score
        row.negative_scores += sum(choice.scores)
        row.dropped.update(choice.dropped)

    def keep(self, pair: Pair) -> None:
        """
        Count a pair that keeps its own negatives; it adds to no other count.

        :param pair: as it was read.
        """
        self._tasks[pair.task].kept += 1

    def report(self, settings: dict[str, Any], seconds: dict[str, float]) -> dict[str, Any]:
        """
        Make the report.

        :param settings: everything that decided the result.
        :param seconds: part of the work -> the seconds that it took.
        """
        total = _Task()
        for row in self._tasks.values():
            for name in _Task.__slots__:
                setattr(total, name, getattr(total, name) + getattr(row, name))
        return {
            "settings": settings,
            "tasks": {task: _line(row) for task, row in self._tasks.items()},
            "all": _line(total),
            "seconds": {name: round(value, 1) for name, value in seconds.items()},
            "peak_memory_mb": _peak_memory_mb(),
        }


def _line(row: _Task) -> dict[str, Any]:
    return {
        "pairs": row.pairs,
        "queries": row.queries,
        "passages": row.passages,
        "negatives_per_pair": round(row.negatives / max(1, row.pairs), 3),
        "candidates_per_pair": round(row.candidates / max(1, row.pairs), 1),
        "dropped": {name: row.dropped[name] for name in DROPS},
        "too_few": round(row.too_few / max(1, row.pairs), 4),
        "none": round(row.none / max(1, row.pairs), 4),
        "replaced": row.replaced,
        "kept": row.kept,
        "mean_positive_score": round(row.positive_scores / max(1, row.pairs), 4),
        "mean_negative_score": round(row.negative_scores / max(1, row.negatives), 4),
    }


def _peak_memory_mb() -> int | None:
    if sys.platform == "win32":  # has no getrusage
        return None
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10  # getrusage: bytes on macOS, kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def write_report(content: dict[str, Any], path: Path) -> None:
    """
    Write the report.

    :param content: the report from :meth:`Tally.report`.
    :param path: the .json file.
    """
    write_whole(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))


def report_table(content: dict[str, Any]) -> Table:
    """
    Make a table of the report for a terminal.

    :param content: the report from :meth:`Tally.report`.
    """
    table = Table(title="Hard negatives")
    used = [name for name in DROPS if content["all"]["dropped"][name]]
    table.add_column("task")
    for heading in ("pairs", "passages", "negatives", "candidates", *used, "too few", "positive", "negative"):
        table.add_column(heading.replace("_", " "), justify="right")
    for task, row in [*content["tasks"].items(), ("all", content["all"])]:
        table.add_row(
            escape(task),
            *(f"{row['pairs']:,}", f"{row['passages']:,}"),
            *(f"{row['negatives_per_pair']:.2f}", f"{row['candidates_per_pair']:.1f}"),
            *(f"{row['dropped'][name]:,}" for name in used),
            *(f"{row['too_few']:.1%}", f"{row['mean_positive_score']:.3f}", f"{row['mean_negative_score']:.3f}"),
        )
    return table


def examples(pairs: Path, count: int) -> Group:
    """
    Show pairs spread evenly over a mined file, for a person to judge.

    :param pairs: the mined .parquet file, or a folder of them.
    :param count: number of pairs to show.
    """
    total = sum(1 for _ in read_pairs(pairs))
    step = max(1, total // max(1, count))
    panels = []
    for pair in islice(read_pairs(pairs), 0, step * count, step):
        body = Text(f"{printable(pair.query)}\n\n", style="bold")
        scores = pair.negative_scores or (None,) * len(pair.negatives)  # a kept negative has none
        body.append(_line_of("+", pair.positive_score, pair.positive), style="green")
        for score, negative in zip(scores, pair.negatives, strict=True):
            body.append(_line_of("-", score, negative), style="red")
        panels.append(Panel(body, title=Text(printable(pair.task)), subtitle=Text(printable(pair.id))))
    return Group(*panels)


def _line_of(sign: str, score: float | None, text: str) -> str:
    short = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} ..."
    return f"{sign} {'' if score is None else f'{score:.3f}'}  {printable(short)}\n"
