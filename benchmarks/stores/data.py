"""Records of PubMed with their vectors by ``mini``, and questions with the right answers."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

OLDER_SAMPLE = "pubmed20n0014.xml.gz"
"""Another file of the same package: 30,000 citations of the 1970s, half of them without an abstract."""
TOP = 10
"""Hits of a question."""
LEAST_WORDS = 8
"""Words of a sentence that is a question."""


@dataclass(frozen=True)
class Question:
    """A question in both forms."""

    words: str
    vector: NDArray[np.float32]
    """*Shape:* (width,) float32"""


@dataclass
class Data:
    """What every contender gets. It lies in a folder, so that fresh processes read it there."""

    folder: Path

    @property
    def passages(self) -> Path:
        """JSON lines in BEIR's form."""
        return self.folder / "passages.jsonl"

    @cached_property
    def records(self) -> list[dict[str, str]]:
        """``_id``, ``title`` and ``text`` of every passage."""
        return [json.loads(line) for line in self.passages.read_text(encoding="utf-8").splitlines()]

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """Of the passages. *Shape:* (passages, width) float32"""
        return np.load(self.folder / "vectors.npy")

    @cached_property
    def questions(self) -> list[Question]:
        """Sentences of abstracts that are no passages."""
        words = json.loads((self.folder / "questions.json").read_text(encoding="utf-8"))
        return list(map(Question, words, np.load(self.folder / "question_vectors.npy")))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What decided the vectors."""
        return json.loads((self.folder / "identity.json").read_text(encoding="utf-8"))

    def right(self) -> list[list[str]]:
        """Return the ids of the passages with the largest inner products, for each question, in float32."""
        asked = np.stack([question.vector for question in self.questions])
        best = np.argsort(-(asked @ self.vectors.T), axis=1, kind="stable")[:, :TOP]
        return [[self.records[row]["_id"] for row in rows] for rows in best]


def prepare(folder: Path, passages: int, questions: int) -> Data:
    """
    Read and embed the texts, unless the folder holds them already.

    :param folder: for the texts and vectors.
    :param passages: most passages.
    :param questions: questions.
    :raises FileNotFoundError: if the package with PubMed's records is not installed; the message says how to install it.
    """
    data, asked = Data(folder), {"passages": passages, "questions": questions}
    mark = folder / "done.json"
    if mark.is_file() and json.loads(mark.read_text()) == asked:
        return data
    folder.mkdir(parents=True, exist_ok=True)
    mark.unlink(missing_ok=True)
    _write(data, passages, questions)
    mark.write_text(json.dumps(asked))
    return data


def _write(data: Data, passages: int, questions: int) -> None:
    from bmretriever_integrations import BMRetrieverEncoder  # not above: the contenders' processes import this module
    from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
    from bmretriever_integrations.corpus import read_corpus
    from bmretriever_integrations.encoder import CutTextWarning

    warnings.simplefilter("ignore", CutTextWarning)
    sample = installed_file(PUBMED_SAMPLE)
    records = list({one.id: one for one in read_corpus([sample, sample.with_name(OLDER_SAMPLE)])}.values())
    sentences = (_last_sentence(record.text) for record in records[::-1])
    asking = list(islice((one for one in sentences if len(one.split()) >= LEAST_WORDS), questions))
    # Passages are from both files; the questions are from the end of the second, which is cut off.
    kept = records[: min(passages, len(records) - 3 * questions)]
    lines = [json.dumps({"_id": one.id, "title": one.title, "text": one.text}) for one in kept]
    data.passages.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (data.folder / "questions.json").write_text(json.dumps(asking), encoding="utf-8")
    with BMRetrieverEncoder("mini") as encoder:
        vectors = encoder.encode_passages([one.text for one in kept], [one.title for one in kept])
        np.save(data.folder / "vectors.npy", vectors)
        np.save(data.folder / "question_vectors.npy", encoder.encode_queries(asking))
        (data.folder / "identity.json").write_text(json.dumps(encoder.identity()), encoding="utf-8")


def _last_sentence(text: str) -> str:
    """Return the sentence in which an abstract concludes."""
    return re.split(r"(?<=[.!?])\s+", text.strip())[-1]
