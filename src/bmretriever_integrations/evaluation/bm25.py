"""BM25, the baseline that stands beside every model in the same run."""

from __future__ import annotations

import time
from typing import Any

import bm25s
import numpy as np
import Stemmer
from bm25s.stopwords import STOPWORDS_EN
from bm25s.tokenization import Tokenizer

from bmretriever_integrations.evaluation.comparison import Ranked
from bmretriever_integrations.evaluation.ranking import TopDocuments
from bmretriever_integrations.evaluation.tasks import Task

K1 = 0.9
B = 0.4
# Anserini's defaults, which the BEIR board's BM25 uses as well.

WORD = r"(?u)\b\w+\b"
"""Words of one letter count: vitamin C, factor V, hepatitis B."""

QUESTION_WORDS = (
    *("what", "which", "who", "whom", "whose", "when", "where", "why", "how"),
    *(
        "does",
        "do",
        "did",
        "can",
        "could",
        "would",
        "should",
        "has",
        "have",
        "had",
        "may",
        "might",
        "were",
        "been",
        "am",
    ),
    *("its", "we", "our", "i", "my", "you", "your", "he", "she", "his", "her", "them"),
    *("from", "than", "also", "so", "about"),
)
"""Left out besides Lucene's 33 English stop words: with those alone, "what" and "how" cost questions up to 0.04 nDCG@10."""


class Bm25:
    """Lucene's variant of BM25 over title and text, English stop words, Porter stems."""

    name = "BM25"

    def settings(self, task: Task) -> dict[str, Any]:  # noqa: ARG002  a system answers for each task; this one's never differ
        """Everything that decides the ranking."""
        return {
            "k1": K1,
            "b": B,
            "method": "lucene",
            "stemmer": "porter",
            "stop_words": len(STOPWORDS_EN) + len(QUESTION_WORDS),
            "words": WORD,
            "bm25s": bm25s.__version__,
        }

    def rank(self, task: Task, depth: int) -> Ranked:
        """
        Index the task's documents and run its queries.

        :param task: the task.
        :param depth: how many documents to keep for a query; those that share no word with it are not found.
        """
        started = time.perf_counter()
        stop_words = [*STOPWORDS_EN, *QUESTION_WORDS]
        tokenizer = Tokenizer(splitter=WORD, stopwords=stop_words, stemmer=Stemmer.Stemmer("porter"))
        texts = (f"{passage.title} {passage.text}" for passage in task.passages())
        documents = list(tokenizer.streaming_tokenize(texts, update_vocab=True, allow_empty=False))
        index = bm25s.BM25(k1=K1, b=B, method="lucene")
        if tokenizer.stem_to_sid:
            index.index((documents, dict(tokenizer.stem_to_sid)), show_progress=False)
        seconds = time.perf_counter() - started
        ranking = []
        queries = tokenizer.streaming_tokenize(task.queries.values(), update_vocab=False, allow_empty=False)
        for row, words in enumerate(queries):
            top = TopDocuments(depth, task.own_documents[row : row + 1])
            if words:
                scores = index.get_scores_from_ids(words)
                top.add(np.where(scores > 0, scores, -np.inf)[None].astype(np.float32), 0)
            ranking += top.best()
        return Ranked(ranking, seconds)
