"""A training pair in memory and as a parquet row. Every step of the recipe reads and writes pairs in this form alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bmretriever_integrations.files import whole_file
from bmretriever_integrations.prompts import passage_prompt, query_prompt

ROWS_AT_ONCE = 10_000
"""Rows of a parquet row group: about 20 MB of abstracts, so that ten million pairs are never in memory together."""

PAIR_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("instruction", pa.string(), nullable=False),
        pa.field("query", pa.string(), nullable=False),
        pa.field("positive", pa.string(), nullable=False),
        pa.field("negatives", pa.list_(pa.string())),
        pa.field("positive_score", pa.float32()),
        pa.field("negative_scores", pa.list_(pa.float32())),
        pa.field("other_positives", pa.list_(pa.string())),
        pa.field("source", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
    ],
    metadata={"bmretriever": "pairs", "schema": "1"},
)
REQUIRED = ("task", "instruction", "query", "positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One training example, without templates: they are added when the model reads it."""

    task: str
    """Name of the task; a batch holds pairs of one task."""
    instruction: str
    """The sentence that says what the query looks for."""
    query: str
    """The query."""
    positive: str
    """The passage that answers the query, title and text joined by one space
    (:func:`~bmretriever_integrations.prompts.passage_prompt`)."""
    negatives: tuple[str, ...] = ()
    """Hard negatives, the hardest first where they are mined; empty if the source gives none."""
    positive_score: float | None = None
    """The miner's or the source's score of the positive; None if there is none."""
    negative_scores: tuple[float, ...] = ()
    """The miner's or the source's scores of the negatives, in their order; empty if there are none."""
    other_positives: tuple[str, ...] = ()
    """Further passages that the source names as answers to the query and that are no pair of their own; they are never mined as
    its negatives."""
    source: str = ""
    """File or data set that the pair comes from, and the row in it."""
    licence: str = ""
    """Licence of the texts; empty where none is stated."""
    id: str = field(default="")
    """Hash of task, instruction, query and positive; computed here unless it is given."""

    def __post_init__(self) -> None:
        if not self.id:
            content = "\0".join((self.task, self.instruction, self.query, self.positive))
            object.__setattr__(self, "id", hashlib.sha256(content.encode("utf-8")).hexdigest()[:32])

    @property
    def query_prompt(self) -> str:
        """Return the query in its template."""
        return query_prompt(self.instruction, self.query)

    @property
    def positive_prompt(self) -> str:
        """Return the positive in its template."""
        return passage_prompt(self.positive)


class PairWriter:
    """Writes one parquet file, which gets its name when it is complete."""

    def __init__(self, path: Path) -> None:
        """
        :param path: the .parquet file; an earlier one is replaced when the new one is complete.
        """
        self._path = path
        self._rows: list[Pair] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stack = ExitStack()
        self.count = 0

    def write(self, pair: Pair) -> None:
        """
        Add a pair.

        :param pair: the pair.
        """
        self._rows.append(pair)
        self.count += 1
        if len(self._rows) == ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns: dict[str, list[Any]] = {name: [getattr(p, name) for p in self._rows] for name in PAIR_SCHEMA.names}
            self._writer.write_table(pa.table(columns, schema=PAIR_SCHEMA))
            self._rows = []

    def __enter__(self) -> PairWriter:
        draft = self._stack.enter_context(whole_file(self._path))
        self._writer = self._stack.enter_context(pq.ParquetWriter(draft, PAIR_SCHEMA, compression="zstd"))
        self._stack.push(self._finish)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _finish(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            self._flush()


def pair_files(path: Path) -> list[Path]:
    """
    List the parquet files of a path, each checked to hold pairs.

    :param path: one .parquet file, or a folder of them.
    :returns: the files in the order of their names.
    :raises FileNotFoundError: if there is no file.
    :raises ValueError: if one is no parquet file, lacks a column, has another type in it, or is empty.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise FileNotFoundError(
            f"no pairs at {path}: name a .parquet file, or a folder of them (training/build_pairs.py)"
        )
    for file in files:
        if not file.is_file():
            raise ValueError(f"{file} is no regular file; pairs are read more than once, so save them as a file first")
        _check(file)
    return files


def read_pairs(path: Path) -> Iterator[Pair]:
    """
    Read pairs one after another; memory does not grow with their number.

    :param path: one .parquet file, or a folder of them.
    :raises FileNotFoundError: if there is no file.
    :raises ValueError: if a file holds no pairs, which is checked for all files before the first row is read; or if a row
        lacks a text, or has another number of scores than of negatives (names file and row).
    """
    for file in pair_files(path):
        try:
            for number, row in enumerate(_rows(file), 1):
                wrong = _fault(row)
                if wrong:
                    raise ValueError(f"{file}, row {number}: {wrong}")
                yield Pair(**row)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{file} is damaged: {error}; make it again") from error


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    names = {setting.name for setting in fields(Pair)}
    with pq.ParquetFile(file) as parquet:
        known = [name for name in parquet.schema_arrow.names if name in names]
        for batch in parquet.iter_batches(ROWS_AT_ONCE, columns=known):
            for row in batch.to_pylist():
                yield {name: _value(name, value) for name, value in row.items()}


def _fault(row: dict[str, Any]) -> str | None:
    for name in REQUIRED:
        if not row[name].strip():
            return f"{name} is empty"
    negatives, scores = row.get("negatives", ()), row.get("negative_scores", ())
    for name in ("negatives", "other_positives"):
        if not all(text and text.strip() for text in row.get(name, ())):
            return f"one of the {name} is empty"
    if len(scores) not in (0, len(negatives)):
        return f"{len(negatives)} negatives have {len(scores)} negative_scores; give one each, or none"
    if None in scores:
        return "one of the negative_scores is empty"
    return None


def _value(name: str, value: Any) -> Any:
    if name in ("negatives", "negative_scores", "other_positives"):
        return tuple(value or ())
    return "" if value is None and name != "positive_score" else value


def _check(file: Path) -> None:
    try:
        with pq.ParquetFile(file) as parquet:
            schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{file} is no parquet file of pairs: {error}") from error
    missing = [name for name in REQUIRED if name not in schema.names]
    if missing:
        raise ValueError(f"{file} lacks the columns {', '.join(missing)}; it has {', '.join(schema.names)}")
    for name in (name for name in PAIR_SCHEMA.names if name in schema.names):
        given, wanted = schema.field(name).type, PAIR_SCHEMA.field(name).type
        if not _compatible(given, wanted):
            raise ValueError(f"{file}: column {name} must be {wanted}, it is {given}")
    if rows == 0:
        raise ValueError(f"{file} holds no pair")


def _compatible(given: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_null(given):  # pandas writes a column without values so; rows of a needed one are refused
        return True
    if pa.types.is_list(wanted) or pa.types.is_large_list(wanted):
        is_list = pa.types.is_list(given) or pa.types.is_large_list(given)
        return is_list and _compatible(given.value_type, wanted.value_type)
    if pa.types.is_string(wanted):
        return bool(pa.types.is_string(given) or pa.types.is_large_string(given))
    return bool(pa.types.is_floating(given))
