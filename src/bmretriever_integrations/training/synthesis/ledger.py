"""The ledger: every answer is on disk before it is used, so that a stopped run sends no request twice."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from bmretriever_integrations.training.synthesis.generators import Answer


class Ledger:
    """
    An append-only JSONL file with a line for every answer: the request's key and the answer.

    If a kill left the last line incomplete, it is cut off when the file is opened again. One process at a time may open it.
    """

    def __init__(self, path: Path) -> None:
        """
        :param path: the file; made if it is missing.
        :raises ValueError: if a complete line is no answer.
        """
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+")
        self._answers: dict[str, tuple[int, int]] = {}
        try:
            self._read()
        except ValueError:
            self._file.close()
            raise

    def _read(self) -> None:
        self._file.seek(0)
        start = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                self._file.truncate(start)  # the process died while it wrote this answer
                break
            self._answers[self._key(line, number)] = (start, len(line))
            start += len(line)

    def _key(self, line: bytes, number: int) -> str:
        try:
            entry = json.loads(line)
            Answer(**entry["answer"])
            return str(entry["key"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{self._path}:{number} is no answer: {error}. Delete the line or the file.") from error

    def find(self, key: str) -> Answer | None:
        """
        Look up an answer.

        :param key: key of its request.
        :returns: the answer; None if there is none.
        """
        if key not in self._answers:
            return None
        start, length = self._answers[key]
        self._file.seek(start)
        return Answer(**json.loads(self._file.read(length))["answer"])

    def add(self, key: str, answer: Answer) -> None:
        """
        Add an answer; it is on the disk when this returns.

        :param key: key of its request.
        :param answer: the answer.
        """
        line = (
            json.dumps({"key": key, "answer": asdict(answer)}, ensure_ascii=False).encode("utf-8", "surrogatepass")
            + b"\n"
        )
        self._answers[key] = (self._file.seek(0, os.SEEK_END), len(line))
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())

    def __len__(self) -> int:
        return len(self._answers)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
