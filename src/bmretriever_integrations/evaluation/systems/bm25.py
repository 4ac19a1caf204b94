"""Rank documents with BM25, the baseline in every run."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bm25s
import numpy as np
import Stemmer
from bm25s.stopwords import STOPWORDS_EN_PLUS
from bm25s.tokenization import Tokenizer

from bmretriever_integrations.evaluation.systems.comparison import Ranked
from bmretriever_integrations.evaluation.systems.ranking import TopDocuments
from bmretriever_integrations.evaluation.tasks.retrieval import Task
from bmretriever_integrations.evaluation.tasks.similarity import AnyTask

K1 = 0.9
B = 0.4
# K1 and B are Anserini's defaults, with which BEIR's leaderboard computes BM25.

WORD = r"(?u)\b\w+\b"
"""Pattern of a word. Words of one letter count, because of vitamin C, factor V and hepatitis B."""
STOP_WORDS: tuple[str, ...] = STOPWORDS_EN_PLUS
"""bm25s' "english_plus", NLTK's list of 179 words. Lucene's 33 words do not contain "what" and "how", which costs up to 0.04
nDCG@10 on questions."""


@dataclass(frozen=True)
class Analyzer:
    """The rules by which text is split into words."""

    name: str
    """The name in a report's settings."""
    split: Callable[[str], list[str]]
    """The function that splits a text into words."""
    stop_words: tuple[str, ...]
    """Words that are removed."""

    def tokenizer(self) -> Tokenizer:
        """Make a new tokenizer with an empty vocabulary. It lowers the case, removes the stop words, and takes Porter stems."""
        return Tokenizer(splitter=self.split, stopwords=list(self.stop_words), stemmer=Stemmer.Stemmer("porter"))


ENGLISH = Analyzer("english", re.compile(WORD).findall, STOP_WORDS)
"""The default analyzer, with English stop words."""


class Bm25:
    """Lucene's variant of BM25 over title and text, with English stop words and Porter stems."""

    name = "BM25"

    def __init__(self, analyzer: Analyzer = ENGLISH) -> None:
        """
        :param analyzer: the rules for words; analyzers other than the default are for comparisons with other programs.
        """
        self._analyzer = analyzer

    def settings(self, task: AnyTask) -> dict[str, Any]:  # noqa: ARG002  the same for every task
        """Return everything that decides the ranking."""
        return {
            "k1": K1,
            "b": B,
            "method": "lucene",
            "stemmer": "porter",
            "analyzer": self._analyzer.name,
            "stop_words": len(self._analyzer.stop_words),
            "bm25s": bm25s.__version__,
        }

    def rank(self, task: Task, depth: int) -> Ranked:
        """
        Index the task's documents and run its queries.

        :param task: the task.
        :param depth: the number of documents to keep for each query. Documents that share no word with the query are not found.
        """
        started = time.perf_counter()
        tokenizer = self._analyzer.tokenizer()
        texts = (f"{passage.title} {passage.text}" for passage in task.passages())
        documents = list(tokenizer.streaming_tokenize(texts, update_vocab=True, allow_empty=False))
        index = bm25s.BM25(k1=K1, b=B, method="lucene")
        if tokenizer.stem_to_sid:
            index.index((documents, dict(tokenizer.stem_to_sid)), show_progress=False)
        seconds = time.perf_counter() - started
        ranking = []
        queries = tokenizer.streaming_tokenize(task.queries.values(), update_vocab=False, allow_empty=False)
        for row, words in enumerate(queries):
            top = TopDocuments(depth, task.own_documents[row : row + 1], task.candidates_of(row))
            if words:
                scores = index.get_scores_from_ids(words)
                top.add(np.where(scores > 0, scores, -np.inf)[None].astype(np.float32), 0)
            ranking += top.best()
        return Ranked(ranking, seconds)
