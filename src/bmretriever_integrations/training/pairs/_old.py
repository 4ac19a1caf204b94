"""Files -> training pairs, already in the released prompts."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bmretriever_integrations.prompts import TASK_INSTRUCTIONS, passage_prompt, query_prompt

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9(])")


@dataclass(frozen=True)
class Pair:
    """One training example; both sides carry their template."""

    task: str
    query: str
    positive: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """One JSONL file and how pairs are made of it."""

    file: str
    """Path below the data folder; ``.jsonl`` or ``.jsonl.gz``."""
    pairing: Literal["title", "spans", "labelled"]
    """``title``: title -> text. ``spans``: the first sentences -> the rest (paper, section 3: two disjoint spans of one
    document where there is no title). ``labelled``: the file's own instruction, query and positive."""
    limit: int | None = None
    """At most this many pairs, drawn at random."""
    per_title: int | None = None
    """At most this many passages under one title, so that long articles do not fill every batch."""


def read_pairs(folder: Path, source: Source, seed: int) -> list[Pair]:
    """
    Make the pairs of one source.

    :param folder: the data folder.
    :param source: the file and the way.
    :param seed: of the draw when the source has a limit.
    :raises FileNotFoundError: if the file is missing.
    :raises ValueError: if a line is no JSON object or lacks a column; names file and line.
    """
    pairs: list[Pair] = []
    titles: dict[str, int] = defaultdict(int)
    rows = list(_rows(folder / source.file))
    random.Random(seed).shuffle(rows)
    for where, row in rows:
        try:
            pair = _pair(row, source)
        except KeyError as error:
            raise ValueError(f"{where}: no column {error} for pairing {source.pairing!r}") from error
        if pair is None:
            continue
        titles[pair.query] += 1
        if source.per_title is None or titles[pair.query] <= source.per_title:
            pairs.append(pair)
    return pairs[: source.limit]


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}:{number}: not JSON: {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path}:{number}: expected a JSON object, got {type(row).__name__}")
            yield f"{path}:{number}", row


def _pair(row: dict[str, Any], source: Source) -> Pair | None:
    if source.pairing == "labelled":
        positive = row["positive"]
        text, title = (positive["text"], positive["title"]) if isinstance(positive, dict) else (positive, None)
        return Pair(row["task"], query_prompt(row["instruction"], row["query"]), passage_prompt(text, title))
    query, text = row["title"], row["text"]
    if source.pairing == "spans":
        sentences = SENTENCE_END.split(text)
        if len(sentences) < 3:
            return None
        cut = max(1, len(sentences) // 4)
        query, text = " ".join(sentences[:cut]), " ".join(sentences[cut:])
    if not query or not text:
        return None
    return Pair(Path(source.file).name, query_prompt(TASK_INSTRUCTIONS["title"], query), passage_prompt(text))
