"""Convert a data set of the Hugging Face hub, or a local clone of it, to a task folder, with the package ``datasets``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.evaluation.tasks.builders.icliniq import add_answers
from bmretriever_integrations.evaluation.tasks.builders.json_files import take
from bmretriever_integrations.evaluation.tasks.builders.relish import add_judged_paper
from bmretriever_integrations.evaluation.tasks.named_task import Hub
from bmretriever_integrations.evaluation.tasks.writing import TaskWriter
from bmretriever_integrations.prompts import is_missing

if TYPE_CHECKING:
    from collections.abc import Iterable

SCIREPEVAL_JUDGEMENTS = "_test"
"""Suffix of the data set with the judgements: those of allenai/scirepeval are in allenai/scirepeval_test."""


def convert(hub: Hub, path: str, writer: TaskWriter, split: str) -> None:
    """
    Read a data set and write it as a task.

    :param hub: the layout and the commit of the data set.
    :param path: its hub id, or the folder of a clone.
    :param writer: the writer of the task.
    :param split: the split of the judgements or pairs.
    :raises ImportError: if ``datasets`` is missing; the message says how to install it.
    :raises ConnectionError: if the data set cannot be read; the message says what to do without the hub.
    :raises ValueError: if it has another layout.
    """
    revision = hub.revision if path == hub.path else None  # a clone has its own commit
    _LAYOUTS[hub.layout](path, revision, split, writer)


def _retrieval(path: str, revision: str | None, split: str, writer: TaskWriter) -> None:
    """Convert mteb's layout of retrieval sets: configurations ``corpus`` and ``queries``; ``default`` holds the judgements."""
    for number, row in enumerate(_rows(path, "corpus", revision, None), 1):
        where = f"{path}, corpus row {number}"
        writer.document(_id(row, where), _text(row, "title"), take(row, "text", str, where), where)
    for number, row in enumerate(_rows(path, "queries", revision, None), 1):
        where = f"{path}, queries row {number}"
        writer.query(_id(row, where), take(row, "text", str, where), where)
    for number, row in enumerate(_rows(path, "default", revision, split), 1):
        where = f"{path}, judgement {number}"
        query, document, grade = (_judged(row, key, where) for key in ("query-id", "corpus-id", "score"))
        writer.judge(str(query), str(document), _whole(grade, where))


def _pairs(path: str, revision: str | None, split: str, writer: TaskWriter) -> None:
    for number, row in enumerate(_rows(path, None, revision, split), 1):
        where = f"{path}, row {number}"
        left, right = take(row, "sentence1", str, where), take(row, "sentence2", str, where)
        writer.pair(left, right, float(take(row, "score", (int, float), where)))


def _answers(path: str, revision: str | None, split: str, writer: TaskWriter) -> None:  # noqa: ARG001  it has one split
    add_answers(_rows(path, None, revision, None), writer, path)


def _scirepeval(path: str, revision: str | None, split: str, writer: TaskWriter) -> None:
    papers = {}
    for number, row in enumerate(_rows(path, "relish", revision, "evaluation"), 1):
        paper = str(take(row, "doc_id", (str, int), f"{path}, row {number}"))
        papers[paper] = Record(paper, _text(row, "title"), _text(row, "abstract"))
    judgements: dict[str, dict[str, int]] = {}
    for number, row in enumerate(_rows(path + SCIREPEVAL_JUDGEMENTS, "relish", None, split), 1):
        where = f"{path + SCIREPEVAL_JUDGEMENTS}, judgement {number}"
        query, document, grade = (_judged(row, key, where) for key in ("query_id", "cand_id", "score"))
        query, document = str(query), str(document)
        if query in papers and document in papers:
            judgements.setdefault(query, {})[document] = _whole(grade, where)
        else:
            writer.left_out["judgement of a paper without text"] += 1
    for query, grades in judgements.items():
        add_judged_paper(query, grades, papers, writer)


_LAYOUTS: Mapping[str, Callable[[str, str | None, str, TaskWriter], None]] = {
    "retrieval": _retrieval,
    "pairs": _pairs,
    "answers": _answers,
    "scirepeval": _scirepeval,
}


def _text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    return "" if is_missing(value) else str(value)


def _judged(row: dict[str, Any], key: str, where: str) -> Any:
    if row.get(key) is None:
        raise ValueError(f"{where}: no {key!r}; it has {', '.join(map(repr, row))}")
    return row[key]


def _whole(grade: Any, where: str) -> int:
    if not isinstance(grade, int | float) or grade != int(grade):
        raise ValueError(f"{where}: the score must be a whole number, got {grade!r}")
    return int(grade)


def _id(row: dict[str, Any], where: str) -> str:
    for key in ("_id", "id"):  # some data sets have the one, some the other
        if row.get(key) is not None:
            return str(row[key])
    raise ValueError(f"{where}: no '_id' and no 'id'; it has {', '.join(map(repr, row))}")


def _rows(path: str, name: str | None, revision: str | None, split: str | None) -> Iterable[Any]:
    """Return the rows of one configuration: of the wanted split, or of the only split."""
    try:
        import datasets
    except ImportError as error:
        raise ImportError('named tasks from the hub need datasets: pip install "datasets>=3"') from error
    try:
        loaded = datasets.load_dataset(path, name, revision=revision)
    except ValueError as error:
        raise ValueError(f"{path} has another layout than mteb's: {error}") from error
    except Exception as error:  # datasets raises the errors of its many storage back ends unchanged
        raise ConnectionError(
            f"cannot read {path} ({type(error).__name__}: {error}). If the hub cannot be reached, clone the data set on "
            "another machine, copy the clone and run: bmretriever build TASK CLONE"
        ) from error
    if split not in loaded and len(loaded) > 1:
        raise ValueError(f"{path} has no split {split!r} in {name or 'default'}; it has {', '.join(loaded)}")
    rows = loaded[split] if split in loaded else next(iter(loaded.values()))
    return tqdm(rows, desc=f"{path} {name or ''}".strip(), unit=" rows", disable=None)
