"""What tests of the index share."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.records import Record

HOSTILE = (
    "it's", 'say "x"', "back\\slash", "a\nb", "tab\there", "null\x00byte", "'; DROP TABLE records; --", "') OR ('1'='1", "%", "_",
    "`id`", "β-catenin 🧬", "$.a", "a.b", "x y", "[0]", "{}", "null", "true", "3", "3.5", "2015-03-14", "/* x */", "#", "?",
    "' OR 1=1", "long " * 2000,
)  # fmt: skip
"""Texts that mean something to one language or another."""


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """A function: folder -> name and bytes of every file in it."""
    return lambda folder: {path.name: path.read_bytes() for path in folder.iterdir()}


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
    from bmretriever_integrations.index.full_text import full_text_query

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
