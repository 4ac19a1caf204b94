"""Build the iCliniq task from ChatDoctor's iCliniq.json: a patient's question is the query for the doctor's response."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bmretriever_integrations.evaluation.tasks.builders.json_files import only_file, read_json, take
from bmretriever_integrations.evaluation.tasks.writing import TaskWriter


def build_icliniq(sources: Sequence[Path], writer: TaskWriter) -> None:
    """
    Build the iCliniq task: a query is a patient's question, and its only relevant passage is the response on iCliniq.

    :param sources: one file iCliniq.json, a list of objects with ``input`` and ``answer_icliniq``.
    :param writer: the writer of the task.
    :raises ValueError: if the file has another form; the message names the file and the place.
    """
    path = only_file(sources, "iCliniq.json")
    add_answers(read_json(path, list), writer, str(path))


def add_answers(rows: Iterable[Any], writer: TaskWriter, name: str) -> None:
    """
    Add questions and their responses. A row without a question or without a response is left out.

    :param rows: objects with ``input`` and ``answer_icliniq``.
    :param writer: the writer of the task.
    :param name: the name of their source, for errors.
    :raises ValueError: if a row is not such an object; the message contains its number, from 1.
    """
    for number, row in enumerate(rows, 1):
        where = f"{name}, item {number}"
        question = take(row, "input", str, where).strip()
        answer = take(row, "answer_icliniq", str, where).strip()
        if not question or not answer:
            writer.left_out["no question or no response"] += 1
            continue
        writer.document(f"a{number}", "", answer, where)
        writer.query(f"q{number}", question, where)
        writer.judge(f"q{number}", f"a{number}", 1)
