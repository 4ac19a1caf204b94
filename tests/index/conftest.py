"""What tests of the index share: a small index with every kind of record, made without embedding."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index import SearchIndex
from bmretriever_integrations.index.manifest import Manifest
from bmretriever_integrations.index.schema import VectorType, table_of
from bmretriever_integrations.index.table import create_table, optimize

ROWS = 600
WORDS = ["aspirin", "stroke", "insulin", "glucose", "tumour", "biopsy", "enzyme", "receptor", "placebo", "cohort"]

HOSTILE = (
    "it's", 'say "x"', "back\\slash", "a\nb", "tab\there", "null\x00byte", "'; DROP TABLE records; --", "') OR ('1'='1", "%", "_",
    "`id`", "β-catenin 🧬", "$.a", "a.b", "x y", "[0]", "{}", "null", "true", "3", "3.5", "2015-03-14", "/* x */", "#", "?",
    "' OR 1=1", "long " * 2000,
)  # fmt: skip
"""Texts that mean something to one language or another."""


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """A function: folder -> path inside it and bytes of every file."""
    return lambda folder: {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="session")
def various_records() -> list[Record]:
    """Records with facts of every kind, hostile texts and JSON keys whose values have another type in every row among them."""
    draw = random.Random(7)
    journals = ("Nature", "nature medicine", "The New England journal of medicine", *HOSTILE)
    words = ("Humans", "Lung Neoplasms", "Aged", "RNA, Messenger", *HOSTILE)
    values = (3, "3", 3.0, 3.5, -2, 0, 1, 2**40, True, False, None, "", "A", "B", "true", {"a": "A"})
    values += ([], ["A", "B"], ["3", 3], [3.5])
    dates = (None, "2014", "2015", "2015-03", "2015-03-14", "2015-03-15", "2016-02-29", "1999-12", "2024-06-30")

    def some(choices: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(draw.choices(choices, k=draw.randrange(4))))

    def other() -> Mapping[str, Any]:
        keys = ("k", "n", *HOSTILE[:-1])
        chosen = {key: draw.choice((*values, *HOSTILE)) for key in draw.sample(keys, draw.randrange(5))}
        days = (
            "2015-03-14",
            "2019-05-06T10:00:00Z",
            "2019-05-06T10:00:00+02:00",
            "2019-05-06T09:00:00",
            "spring",
            2019,
        )
        return {**chosen, **({"day": draw.choice(days)} if draw.random() < 0.5 else {})}

    def record(number: int) -> Record:
        mesh = some(words)
        metadata = Metadata(
            date=draw.choice(dates),
            journal=draw.choice((None, *journals)),
            authors=some(("Smith, John A", "Müller, Ä", *HOSTILE)),
            publication_types=some(("Review", "Randomized Controlled Trial", "Case Reports")),
            mesh=mesh,
            mesh_major=tuple(name for name in mesh if draw.random() < 0.3),
            keywords=some(HOSTILE),
            languages=draw.choice(((), ("eng",), ("ger",), ("eng", "fre"))),
            doi=draw.choice((None, f"10.1000/AbC{number}")),
            pmcid=draw.choice((None, f"PMC{number}")),
            version=draw.choice((None, 1, 2)),
            revised=draw.choice((None, "2020-01-02", "2021-03-04")),
            retracted=draw.random() < 0.2,
            other=other() if draw.random() < 0.8 else {},
        )
        return Record(str(number), draw.choice(("Title", *HOSTILE)), f"common {draw.choice(HOSTILE)}", metadata)

    return [record(number) for number in range(400)]


@pytest.fixture(scope="session")
def various_tables(various_records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Two tables of these records: one whose indices cover no row, and one of which they cover all but the last fifty."""
    pytest.importorskip("lancedb")
    from bmretriever_integrations.index.schema import table_of
    from bmretriever_integrations.index.table import create_table, optimize

    def rows(records: list[Record]) -> Any:
        vectors = np.random.default_rng(1).standard_normal((len(records), 8)).astype(np.float32)
        return table_of(records, vectors, ["made.jsonl"] * len(records), "float16")

    bare, indexed = (create_table(tmp_path_factory.mktemp(name), 8, "float16") for name in ("bare", "indexed"))
    bare.add(rows(various_records))
    indexed.add(rows(various_records[:-50]))
    optimize(indexed)
    indexed.add(rows(various_records[-50:]))
    return [bare, indexed]


@pytest.fixture(scope="session")
def found(various_tables: list[Any]) -> Callable[[str | None], set[str]]:
    """A function: condition -> ids of the rows that meet it, which a scan, a search by vector and a full-text search agree on."""
    from bmretriever_integrations.index.search.full_text import full_text_query

    def ids(query: Any, condition: str | None) -> set[str]:
        if condition is not None:
            query = query.where(condition, prefilter=True)
        return {row["id"] for row in query.limit(1000).to_list()}

    def find(condition: str | None) -> set[str]:
        vector, answers = np.ones(8, np.float32), []
        for table in various_tables:
            answers.append(ids(table.search().select(["id"]), condition))
            answers.append(ids(table.search(vector).distance_type("dot").select(["id", "_distance"]), condition))
            answers.append(ids(table.search(full_text_query("common")).select(["id", "_score"]), condition))
        assert all(answer == answers[0] for answer in answers), f"scan and searches disagree on {condition}"
        return answers[0]

    return find


@dataclass(frozen=True)
class Stored:
    """An index and what was put into it."""

    folder: Path
    records: list[Record]
    vectors: NDArray[np.float32]
    """As they are stored. *Shape:* (records, width) float32"""

    def scores(self, question: NDArray[np.float32]) -> dict[str, float]:
        """Inner product of each record, by id."""
        products = self.vectors.astype(np.float64) @ question.astype(np.float64)
        return {record.id: score for record, score in zip(self.records, products.tolist(), strict=True)}


@pytest.fixture(scope="session")
def write_index(encoder) -> Callable[..., Stored]:
    """A function: folder, records, vectors -> an index of the session's engine that holds them."""

    def write(
        folder: Path, records: Sequence[Record], vectors: NDArray[np.float32], vector_type: VectorType = "float16"
    ) -> Stored:
        folder.mkdir(parents=True, exist_ok=True)
        table = create_table(folder, vectors.shape[1], vector_type)
        for start in range(0, len(records), 250):  # several files, as several portions leave
            rows = slice(start, start + 250)
            names = ["c.jsonl"] * len(records[rows])
            table.add(table_of(records[rows], vectors[rows], names, vector_type))
        optimize(table)
        identity = {**encoder.identity(), "width": vectors.shape[1]}
        Manifest(encoder=identity, batch_tokens=512, vector_type=vector_type, complete=True).write(folder)
        return Stored(folder, list(records), vectors.astype(vector_type).astype(np.float32))

    return write


@pytest.fixture(scope="session")
def some_records() -> list[Record]:
    """Records with all that a source may say; each eleventh is retracted, and some are equal in words."""
    rng = np.random.default_rng(5)
    records = []
    for i in range(ROWS):
        words = [WORDS[j] for j in rng.integers(0, len(WORDS), 3 + i % 17)]
        metadata = Metadata(
            date=[str(1990 + i % 35), f"{1990 + i % 35}-0{1 + i % 9}", None][i % 3],
            journal=["The Lancet", "BMJ", None][i % 3],
            authors=("Doe, Jane", f"Roe, R{i % 5}"),
            publication_types=("Journal Article", "Randomized Controlled Trial")[: 1 + i % 2],
            mesh=("Humans", "Aspirin")[: i % 3],
            languages=("eng",),
            retracted=i % 11 == 0,
            other={"arm": i % 7} if i % 2 else {},
        )
        records.append(Record(f"r{i}", f"Study {i % 50}", " ".join(words), metadata))
    return records


@pytest.fixture(scope="session")
def stored(tmp_path_factory, write_index, some_records, encoder) -> Stored:
    """An index of :data:`ROWS` records with random vectors, of which some are equal; no test changes it."""
    vectors = np.random.default_rng(7).standard_normal((ROWS, encoder.width), np.float32)
    vectors[100:110] = vectors[90:100]
    return write_index(tmp_path_factory.mktemp("stored") / "i", some_records, vectors)


@pytest.fixture(scope="session")
def index(stored: Stored) -> SearchIndex:
    """The stored index, opened."""
    return SearchIndex.open(stored.folder)


class PortionEngines:
    """Engines whose vectors show with which texts, and in which order, a text was embedded; up to ``slots`` portions at once."""

    width, batch_tokens = 16, 64

    def __init__(self, slots: int = 1) -> None:
        self.slots, self.cut_texts = slots, 0
        self.texts: list[str] | None = []
        """Every text that was embedded; None counts nothing."""
        self._threads = ThreadPoolExecutor(slots)

    def identity(self) -> dict[str, Any]:
        plain = {"max_length": 512, "dtype": "float32", "width": self.width, "normalize": False}
        return {"model": "portions", "revision": None, "files_sha256": "0" * 64, **plain}

    def submit_passages(self, calls: Any, batch_tokens: int, done: Callable[[int], None]) -> Future[Any]:
        assert batch_tokens == self.batch_tokens
        return self._threads.submit(self._embed, calls, done)

    def _embed(self, calls: Any, done: Callable[[int], None]) -> Any:
        time.sleep(random.random() * 0.002 * (self.slots > 1))  # so that portions overtake each other
        if self.texts is not None:
            self.texts += [text for texts, _titles in calls for text in texts]
        seed = int.from_bytes(blake2b(repr(calls).encode(), digest_size=8).digest())
        rows = sum(len(texts) for texts, _titles in calls)
        done(rows)
        return np.random.default_rng(seed).standard_normal((rows, self.width)).astype(np.float32)


@pytest.fixture(scope="session")
def portion_engines() -> type[PortionEngines]:
    """The class of engines that need no model."""
    return PortionEngines


@pytest.fixture
def portion(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A function: new indices read, embed and commit so many records at a time."""
    return lambda size: monkeypatch.setattr(
        "bmretriever_integrations.index.ingest.build.portion_size", lambda _width, _batch_tokens: size
    )


@pytest.fixture(scope="session")
def rows_in() -> Callable[[Path], dict[str, tuple[Record, bytes, str]]]:
    """A function: folder of an index -> id -> record, bytes of the vector, and source of each row, once each."""
    from bmretriever_integrations.index.schema import record_of
    from bmretriever_integrations.index.table import open_table

    def rows(folder: Path) -> dict[str, tuple[Record, bytes, str]]:
        table = open_table(folder)
        found = [] if table is None else table.to_arrow().to_pylist()
        assert len({row["id"] for row in found}) == len(found)
        return {
            row["id"]: (record_of(row), np.asarray(row["vector"], np.float64).tobytes(), row["source"]) for row in found
        }

    return rows
