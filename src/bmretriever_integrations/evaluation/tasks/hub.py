"""Convert a data set of the Hugging Face hub, or a local clone of it, to a task folder, with the package ``datasets``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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

ALL_SPLITS = "all"
"""Stands for all splits together, as in ``datasets``, where no split can have this name."""
QUERY_KEYS = ("query-id", "q_id")
DOCUMENT_KEYS = ("corpus-id", "p_id")
"""Columns of a judgement: those of mteb's sets, and those of R2MED."""
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
    _LAYOUTS[hub.layout](replace(hub, path=path, revision=revision), hub.split or split, writer)


def _retrieval(hub: Hub, split: str, writer: TaskWriter) -> None:
    """Convert a configuration of documents, one of queries and one of judgements, as mteb's sets and R2MED have them."""
    own = hub.split  # documents and queries are the same for all splits, unless the record names one
    for number, row in enumerate(_rows(hub, "corpus", own), 1):
        where = f"{hub.path}, corpus row {number}"
        document = _id(row, where)
        if hub.split == ALL_SPLITS and writer.has(document):
            continue  # a document may belong to several splits
        writer.document(document, _text(row, "title"), take(row, "text", str, where), where)
    for number, row in enumerate(_rows(hub, hub.queries, own), 1):
        where = f"{hub.path}, queries row {number}"
        writer.query(_id(row, where), take(row, "text", str, where), where)
    for number, row in enumerate(_rows(hub, hub.judgements, split), 1):
        where = f"{hub.path}, judgement {number}"
        query, document, grade = (_judged(row, keys, where) for keys in (QUERY_KEYS, DOCUMENT_KEYS, ("score",)))
        writer.judge(str(query), str(document), _whole(grade, where))


def _questions(hub: Hub, split: str, writer: TaskWriter) -> None:
    """Convert rows of a question and its answer. A question or an answer that comes again has the id of the first; as in mteb."""
    questions: dict[str, str] = {}
    answers: dict[str, str] = {}
    for number, row in enumerate(_rows(hub, hub.queries, split), 1):
        where = f"{hub.path}, row {number}"
        question, answer = _text(row, "question"), _text(row, "answer")
        if not question or not answer:
            writer.left_out["no question or no answer"] += 1
            continue
        if question not in questions:
            questions[question] = f"Q{len(questions)}"
            writer.query(questions[question], question, where)
        if answer not in answers:
            answers[answer] = f"D{len(answers)}"
            writer.document(answers[answer], "", answer, where)
        writer.judge(questions[question], answers[answer], 1)


def _pairs(hub: Hub, split: str, writer: TaskWriter) -> None:
    for number, row in enumerate(_rows(hub, None, split), 1):
        where = f"{hub.path}, row {number}"
        left, right = take(row, "sentence1", str, where), take(row, "sentence2", str, where)
        writer.pair(left, right, float(take(row, "score", (int, float), where)))


def _answers(hub: Hub, split: str, writer: TaskWriter) -> None:  # noqa: ARG001  it has one split
    add_answers(_rows(hub, None, None), writer, hub.path)


def _scirepeval(hub: Hub, split: str, writer: TaskWriter) -> None:
    papers = {}
    for number, row in enumerate(_rows(hub, "relish", "evaluation"), 1):
        paper = str(take(row, "doc_id", (str, int), f"{hub.path}, row {number}"))
        papers[paper] = Record(paper, _text(row, "title"), _text(row, "abstract"))
    judgements: dict[str, dict[str, int]] = {}
    judged = replace(hub, path=hub.path + SCIREPEVAL_JUDGEMENTS, revision=None)
    for number, row in enumerate(_rows(judged, "relish", split), 1):
        where = f"{judged.path}, judgement {number}"
        query, document, grade = (_judged(row, (key,), where) for key in ("query_id", "cand_id", "score"))
        query, document = str(query), str(document)
        if query in papers and document in papers:
            judgements.setdefault(query, {})[document] = _whole(grade, where)
        else:
            writer.left_out["judgement of a paper without text"] += 1
    for query, grades in judgements.items():
        add_judged_paper(query, grades, papers, writer)


_LAYOUTS: Mapping[str, Callable[[Hub, str, TaskWriter], None]] = {
    "retrieval": _retrieval,
    "questions": _questions,
    "pairs": _pairs,
    "answers": _answers,
    "scirepeval": _scirepeval,
}


def _text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    return "" if is_missing(value) else str(value)


def _judged(row: dict[str, Any], keys: tuple[str, ...], where: str) -> Any:
    for key in keys:
        if row.get(key) is not None:
            return row[key]
    raise ValueError(f"{where}: no {keys[0]!r}; it has {', '.join(map(repr, row))}")


def _whole(grade: Any, where: str) -> int:
    if not isinstance(grade, int | float) or grade != int(grade):
        raise ValueError(f"{where}: the score must be a whole number, got {grade!r}")
    return int(grade)


def _id(row: dict[str, Any], where: str) -> str:
    for key in ("_id", "id"):  # some data sets have the one, some the other
        if row.get(key) is not None:
            return str(row[key])
    raise ValueError(f"{where}: no '_id' and no 'id'; it has {', '.join(map(repr, row))}")


def _rows(hub: Hub, name: str | None, split: str | None) -> Iterable[Any]:
    """Return the rows of one configuration: of the wanted split, of all splits, or of the only split."""
    loaded = _load(hub, name)
    if split == ALL_SPLITS:
        return chain.from_iterable(loaded.values())
    if split not in loaded and len(loaded) > 1:
        raise ValueError(f"{hub.path} has no split {split!r} in {name or 'default'}; it has {', '.join(loaded)}")
    rows = loaded[split] if split is not None and split in loaded else next(iter(loaded.values()))
    return tqdm(rows, desc=f"{hub.path} {name or ''}".strip(), unit=" rows", disable=None)


def _load(hub: Hub, name: str | None) -> Mapping[str, Iterable[Any]]:
    """Load one configuration with all its splits."""
    try:
        import datasets
    except ImportError as error:
        raise ImportError('named tasks from the hub need datasets: pip install "datasets>=3"') from error
    files = _plain_files(Path(hub.path), name)
    try:
        if files:
            kind = "parquet" if files[0].endswith(".parquet") else "json"
            return cast("Mapping[str, Iterable[Any]]", datasets.load_dataset(kind, data_files=files))
        return cast("Mapping[str, Iterable[Any]]", datasets.load_dataset(hub.path, name, revision=hub.revision))
    except ValueError as error:
        raise ValueError(f"{hub.path} has another layout than mteb's: {error}") from error
    except Exception as error:  # datasets raises the errors of its many storage back ends unchanged
        raise ConnectionError(
            f"cannot read {hub.path} ({type(error).__name__}: {error}). If the hub cannot be reached, clone the data set on "
            "another machine, copy the clone and run: bmretriever build TASK CLONE"
        ) from error


def _plain_files(folder: Path, name: str | None) -> list[str]:
    """Find the files of a configuration in a folder without a card that names them, as R2MED's archives have them."""
    card = folder / "README.md"
    if name is None or not folder.is_dir() or (card.is_file() and "config_name" in card.read_text(encoding="utf-8")):
        return []
    for pattern in (f"{name}.jsonl", f"{name}.parquet", f"{name}/*.jsonl", f"{name}/*.parquet"):
        if found := sorted(folder.glob(pattern)):
            return [str(path) for path in found]
    return []
