"""Texts of the evaluation sets, and which pairs contain one of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.evaluation.tasks.beir import read_records
from bmretriever_integrations.evaluation.tasks.qrels import find_qrels, read_qrels
from bmretriever_integrations.evaluation.tasks.retrieval import find_file
from bmretriever_integrations.training.pairs.settings import EvaluationSet, Plan
from bmretriever_integrations.training.pairs.words import Hashes, run_hashes, text_hash, word_hashes, words_of

RUN = 13
"""Number of words of a sequence that counts as copied: the GPT-3 paper's (Brown et al. 2020, appendix C: 13-grams)."""
SHORT = range(8, RUN)
"""Lengths in words of documents that are too short for a sequence of 13; a passage must not contain one of them whole."""
TITLE_WORDS = 4
"""Fewest words of a title that is protected; shorter ones ("Introduction") head many articles."""

PROTECTED = "evaluation:"
"""Begins the rules by which a text of an evaluation set is dropped."""


@dataclass
class _Runs:
    """Hashes of the 13-word runs of all protected texts; each run takes 12 bytes."""

    numbers: list[Hashes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def add(self, runs: Hashes) -> None:
        self.numbers.append(runs)
        self.sizes.append(len(runs))

    def sort(self) -> tuple[Hashes, NDArray[np.uint32]]:
        owners = np.repeat(np.arange(len(self.sizes), dtype=np.uint32), self.sizes)
        numbers = np.concatenate([*self.numbers, np.empty(0, dtype=np.uint64)])
        order = np.argsort(numbers, kind="stable")
        return numbers[order], owners[order]


class Protected:
    """All texts that must not be trained on. Memory grows with the evaluation sets, not with the pairs."""

    def __init__(self, plan: Plan) -> None:
        """
        :param plan: names the evaluation sets and what of them is protected.
        :raises FileNotFoundError: if a folder lacks corpus, queries or judgements.
        :raises ValueError: if one of their lines is malformed (names file and line).
        """
        self._share = plan.share
        self._texts: set[int] = set()
        self._queries: set[int] = set()
        self._titles: set[int] = set()
        self._short: dict[int, set[int]] = {length: set() for length in SHORT}
        self._ids: set[str] = set()
        runs = _Runs()
        for against in plan.against:
            self._add(against, plan.protect == "all", runs)
        self._runs, self._owners = runs.sort()
        self._sizes = np.array(runs.sizes, dtype=np.int64)

    def reason(self, query: list[str], positive: list[str], title: str = "", identity: str = "") -> str | None:
        """
        Tell why a pair must be dropped.

        :param query: words of its query (:func:`~.words.words_of`).
        :param positive: words of its positive.
        :param title: title of its document, if it has one.
        :param identity: id of its document.
        :returns: the rule that it breaks, or None.
        """
        if identity and identity in self._ids:
            return f"{PROTECTED} document id"
        if text_hash(positive) in self._texts or text_hash([*words_of(title), *positive]) in self._texts:
            return f"{PROTECTED} exact text"
        number = text_hash(query)
        if number in self._queries or number in self._texts:
            return f"{PROTECTED} exact query"
        if self._is_title(query) or self._is_title(words_of(title)):  # the second: a span of that article
            return f"{PROTECTED} title"
        return self._copied(query, positive)

    def _is_title(self, words: list[str]) -> bool:
        return len(words) >= TITLE_WORDS and text_hash(words) in self._titles

    def _copied(self, query: list[str], positive: list[str]) -> str | None:
        for words in (positive, query):
            hashes = word_hashes(words)
            if self._overlaps(np.unique(run_hashes(hashes, RUN))):
                return f"{PROTECTED} 13 words"
            for length, short in self._short.items():
                if short and not short.isdisjoint(run_hashes(hashes, length).tolist()):
                    return f"{PROTECTED} short document"
        return None

    def _overlaps(self, runs: Hashes) -> bool:
        first = np.searchsorted(self._runs, runs, "left")
        last = np.searchsorted(self._runs, runs, "right")
        if not len(runs) or not (met := last > first).any():
            return False
        common: Counter[int] = Counter()
        for start, stop in zip(first[met], last[met], strict=True):
            common.update(self._owners[start:stop].tolist())
        return any(count >= self._share * min(len(runs), int(self._sizes[owner])) for owner, count in common.items())

    def _add(self, against: EvaluationSet, everything: bool, runs: _Runs) -> None:
        folder = Path(against.path)
        corpus, queries = find_file(folder, "corpus.jsonl"), find_file(folder, "queries.jsonl")
        judged = read_qrels(find_qrels(folder, "test"))
        relevant = {document for grades in judged.values() for document, grade in grades.items() if grade}
        asked = [words_of(query.text) for query in read_records(queries) if query.id in judged]
        if not asked:
            raise ValueError(f"{folder}: qrels/test.tsv judges no query of queries.jsonl")
        for words in asked:
            self._add_text(words, runs, self._queries)
        if next(read_records(corpus), None) is None:
            raise ValueError(f"{corpus} holds no document")
        for document in read_records(corpus):
            if everything or document.id in relevant:
                self._add_document(document, runs)
                if against.ids:
                    self._ids.add(document.id)

    def _add_document(self, document: Record, runs: _Runs) -> None:
        title, text = words_of(document.title), words_of(document.text)
        self._texts.add(text_hash(text))
        self._add_text([*title, *text], runs, self._texts)
        if len(title) >= TITLE_WORDS:
            self._titles.add(text_hash(title))
        if len(text) in self._short:
            self._short[len(text)].update(run_hashes(word_hashes(text), len(text)).tolist())

    def _add_text(self, words: list[str], runs: _Runs, known: set[int]) -> None:
        known.add(text_hash(words))
        runs.add(np.unique(run_hashes(word_hashes(words), RUN)))
