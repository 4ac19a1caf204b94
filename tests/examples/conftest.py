"""A dozen invented records, and the ranking that the examples should print for them."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")  # read when haystack is imported
os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")  # of chromadb

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder

EXAMPLES = Path(__file__).parents[2] / "examples"
QUESTION = "Does tolvaptan slow polycystic kidney disease?"
RECORDS = [
    {
        "_id": str(90000001 + row),
        "title": title,
        "text": text,
        "publication_types": [("Review", "Clinical Trial")[row % 2]],
    }
    for row, (title, text) in enumerate(
        [
            ("Tolvaptan in polycystic kidney disease", "Kidney growth was 2.8% a year with tolvaptan, 5.5% without."),
            ("Fever in children", "Paracetamol and ibuprofen lowered fever alike within four hours."),
            ("", "Beetroot juice lowered systolic blood pressure by {4} mmHg in {0.8} of healthy adults."),
            ("A title without an abstract", ""),
            ("Heparin dose finding", "Anti-Xa levels of 0.3 to 0.7 were reached in 61 of 80 patients."),
            ("Sleep {and} glucose", "Short sleep lowered insulin sensitivity [95% CI 4 to 9] after one week."),
            ("Gait in Parkinson's disease", "Rhythmic cues lengthened the stride; falls did not change."),
            ("Zika virus {ZIKV} and {{ microcephaly }}", "First-trimester infection carried the highest risk."),
            ("Statins in the very old", "Muscle pain was no more frequent than with placebo."),
            ("Cochlear implants", "Speech in noise improved in two thirds of the recipients."),
            ("Helicobacter eradication", "Fourteen days of treatment cured more than seven days did."),
            ("Cystic fibrosis", "Elexacaftor raised the lung function by a tenth."),
        ]
    )
]


@pytest.fixture(scope="session")
def question() -> str:
    """The question that all examples are asked."""
    return QUESTION


@pytest.fixture(scope="session")
def records() -> dict[str, dict[str, str]]:
    """Id -> record, each in its latest version."""
    return {record["_id"]: record for record in RECORDS}


@pytest.fixture
def example() -> Callable[[str], ModuleType]:
    """A function: name of an example -> its module, made anew and without running it."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    """The records as a BEIR file; an outdated version of the first one comes before it."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    outdated = {**RECORDS[0], "text": "An earlier version of this abstract."}
    path.write_text("".join(json.dumps(record) + "\n" for record in [outdated, *RECORDS]), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def ranking(tiny) -> list[str]:
    """Ids of all records, best first for the question, by dot product."""
    with BMRetrieverEncoder(tiny("llama")) as encoder:
        query = encoder.encode_queries([QUESTION])[0]
        vectors = encoder.encode_passages([r["text"] for r in RECORDS], [r["title"] for r in RECORDS])
    return [RECORDS[row]["_id"] for row in np.argsort(-(vectors @ query))]


@pytest.fixture(scope="session")
def hits(tiny, source, tmp_path_factory) -> Callable[..., list[str]]:
    """A function: filters, number -> ids of what an index of the records finds for the question."""
    pytest.importorskip("lancedb")
    from bmretriever_integrations.index import SearchIndex, build_index

    folder = tmp_path_factory.mktemp("hits") / "index"
    with BMRetrieverEncoder(tiny("llama")) as encoder:
        build_index(encoder, [source], folder)
    index = SearchIndex.open(folder)
    return lambda filters=None, top_k=5: [hit.id for hit in index.search(QUESTION, top_k, filters=filters)]
