"""Write a task folder as a stream, under a temporary name. The folder gets its name when it is complete."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from bmretriever_integrations.evaluation.tasks.similarity import PAIRS
from bmretriever_integrations.files import whole_folder
from bmretriever_integrations.prompts import lone_surrogate
from bmretriever_integrations.versions import MADE_BY

ORIGIN = "origin.json"
"""Name of the file that records the sources of a task and the records that were left out."""


class TaskWriter:
    """
    Writes a BEIR folder, or a folder of sentence pairs.

    It is a context manager. The folder appears when the block ends without an error; after an error, no files are left.
    """

    def __init__(self, folder: Path, origin: list[str], split: str = "test") -> None:
        """
        :param folder: the folder to write. It must not exist; missing parent folders are created.
        :param origin: the sources of the records, for ``origin.json``.
        :param split: the name of the qrels file.
        :raises FileExistsError: if the folder exists.
        """
        if folder.exists():
            raise FileExistsError(f"{folder} is there already; remove it to make it anew")
        self.left_out: Counter[str] = Counter()
        """Maps each reason to the number of records that the builder left out."""
        self._folder, self._origin, self._split = folder, origin, split
        self._stack = ExitStack()
        self._files: dict[str, IO[str]] = {}
        self._ids: dict[str, set[str]] = {"corpus": set(), "queries": set()}
        self._counts: Counter[str] = Counter()
        self._judged: dict[tuple[str, str], int] = {}

    def __enter__(self) -> TaskWriter:
        self._draft = self._stack.enter_context(whole_folder(self._folder))
        self._stack.push(self._finish)
        return self

    def document(self, document: str, title: str, text: str, where: str) -> None:
        """
        Add a document to the corpus.

        :param document: its id.
        :param title: its title, or "".
        :param text: its text.
        :param where: file and place, for the error.
        :raises ValueError: if the id was already added, or if the id or a text cannot be written.
        """
        self._new("corpus", document, where, title, text)
        self._line("corpus.jsonl", {"_id": document, "title": title, "text": text})

    def query(self, query: str, text: str, where: str) -> None:
        """
        Add a query.

        :param query: its id.
        :param text: its text.
        :param where: file and place, for the error.
        :raises ValueError: if the id was already added, or if the id or the text cannot be written.
        """
        self._new("queries", query, where, text)
        self._line("queries.jsonl", {"_id": query, "text": text})

    def judge(self, query: str, document: str, grade: int) -> None:
        """
        Add a judgement of how relevant a document is to a query. A judgement that is added twice is written once.

        :param query: the query's id.
        :param document: the document's id.
        :param grade: the relevance; 0 means not relevant.
        :raises ValueError: if the pair was already added with another grade.
        """
        known = self._judged.setdefault((query, document), grade)
        if known != grade:
            raise ValueError(f"query {query!r} judges {document!r} {grade}, but {known} before")
        if len(self._judged) == self._counts["judgements"]:
            return
        name = f"qrels/{self._split}.tsv"
        if name not in self._files:
            self._open(name).write("query-id\tcorpus-id\tscore\n")
        self._open(name).write(f"{query}\t{document}\t{grade}\n")
        self._counts["judgements"] += 1

    def pair(self, left: str, right: str, score: float) -> None:
        """
        Add a pair of sentences to a similarity task.

        :param left: the first sentence.
        :param right: the second sentence.
        :param score: the human score.
        """
        self._line(PAIRS, {"sentence1": left, "sentence2": right, "score": score})

    def has(self, document: str) -> bool:
        """
        Tell whether a document was already added.

        :param document: its id.
        """
        return document in self._ids["corpus"]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _finish(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Write ``origin.json``. It runs when all files are closed, before the folder gets its name."""
        if error is not None:
            return
        if not self._counts:
            raise ValueError(f"{' and '.join(self._origin)} held nothing for a task ({dict(self.left_out) or 'empty'})")
        if not self._counts[PAIRS] and not (self._counts["judgements"] and self._counts["corpus.jsonl"]):
            raise ValueError(f"{' and '.join(self._origin)} held no judged pair of a query and a document")
        record = {
            "origin": self._origin,
            "made_by": MADE_BY,
            "counts": dict(self._counts),
            "left_out": dict(self.left_out),
        }
        (self._draft / ORIGIN).write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    def _new(self, kind: str, record: str, where: str, *texts: str) -> None:
        if record in self._ids[kind]:
            raise ValueError(f"{where}: the id {record!r} comes a second time")
        if not record or set(record) & set("\t\r\n"):
            raise ValueError(f"{where}: the id {record!r} does not fit into a line of judgements")
        written = "".join([record, *texts])
        if (half := lone_surrogate(written)) is not None:
            raise ValueError(f"{where}: {written[half]!r} is half a character, which is no text")
        self._ids[kind].add(record)

    def _line(self, name: str, fields: dict[str, Any]) -> None:
        self._open(name).write(json.dumps(fields, ensure_ascii=False) + "\n")
        self._counts[name] += 1

    def _open(self, name: str) -> IO[str]:
        if name not in self._files:
            path = self._draft / name
            path.parent.mkdir(exist_ok=True)
            self._files[name] = self._stack.enter_context(path.open("w", encoding="utf-8"))
        return self._files[name]
