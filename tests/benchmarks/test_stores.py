"""The comparison with other stores: every contender finds what is nearest, and one small run leaves a table and a JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.files import write_whole

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # as Python does for python -m benchmarks.stores

from benchmarks.stores.contenders import CONTENDERS  # noqa: E402
from benchmarks.stores.data import TOP, Data  # noqa: E402
from benchmarks.stores.table import HEADS, table  # noqa: E402
from benchmarks.stores.turns import Measured  # noqa: E402

PASSAGES, QUESTIONS = 60, 4
DRUGS = ["heparin", "aspirin", "insulin", "metformin", "warfarin", "statins"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the texts are embedded already."""
    work = tmp_path_factory.mktemp("stores")
    data = Data(work / "data")
    data.folder.mkdir()
    rows = [
        {"_id": str(row), "title": f"Trial {row}", "text": f"{DRUGS[row % 6]} lowered mortality in {row} adults."}
        for row in range(PASSAGES)
    ]
    asked = [f"does {drug} lower mortality" for drug in DRUGS[:QUESTIONS]]
    data.passages.write_text("\n".join(map(json.dumps, rows)) + "\n")
    with BMRetrieverEncoder("mini") as encoder:
        vectors = encoder.encode_passages([row["text"] for row in rows], [row["title"] for row in rows])
        np.save(data.folder / "vectors.npy", vectors)
        np.save(data.folder / "question_vectors.npy", encoder.encode_queries(asked))
        write_whole(data.folder / "identity.json", json.dumps(encoder.identity()).encode())
    write_whole(data.folder / "questions.json", json.dumps(asked).encode())
    write_whole(data.folder / "done.json", json.dumps({"passages": PASSAGES, "questions": QUESTIONS}).encode())
    return work


@pytest.mark.parametrize("name", CONTENDERS)
def test_every_contender_finds_what_is_nearest(work: Path, tmp_path: Path, name: str) -> None:
    data, contender = Data(work / "data"), CONTENDERS[name]
    CONTENDERS[contender.like or name].store.build(data, tmp_path)
    contender.store.open(tmp_path)
    for question, right in zip(data.questions, data.right(), strict=True):
        found = contender.store.search(question)
        assert len(found) == TOP
        if contender.same_question and name != "llama-index":
            assert set(found) == set(right)
        else:  # by words as well, or by cosines
            assert len(set(found) & set(right)) >= TOP // 2


def test_one_small_run(work: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- stores table -->\nold\n<!-- /stores table -->\nafter\n")
    command = [
        sys.executable,
        "-m",
        "benchmarks.stores",
        "--work",
        work,
        "--passages",
        PASSAGES,
        "--questions",
        QUESTIONS,
    ]
    command += ["--contenders", "faiss-flat", "--output", tmp_path / "found.json", "--docs", page]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads((tmp_path / "found.json").read_text())
    assert (said["passages"], said["width"], said["questions"]) == (PASSAGES, 576, QUESTIONS)
    assert list(said["contenders"]) == ["ours", "faiss-flat"]
    for one in said["contenders"].values():
        assert one["recall"] == 1
        assert len(one["seconds"]) == QUESTIONS
        assert min(one["build_seconds"], one["disk_bytes"], one["memory_bytes"]) > 0
    shown = table({name: Measured(**one) for name, one in said["contenders"].items()})
    assert shown in done.stdout
    assert page.read_text() == f"before\n<!-- stores table -->\n\n{shown}\n\n<!-- /stores table -->\nafter\n"


def test_times_are_multiples_of_our_exact_search() -> None:
    ours = Measured("our index", "", 10.0, 5_000_000, 300_000_000, [0.02, 0.01, 0.03], 1.0)
    other = Measured("other", "words", None, 7_000_000, 90_000_000, [0.01], None)
    lines = table({"ours": ours, "other": other}).splitlines()
    assert lines[0] == f"| {' | '.join(HEADS)} |"
    assert lines[2:] == [
        "| our index | 1 | 5 MB | 300 MB | 1 | 1.000 |  |",
        "| other | - | 7 MB | 90 MB | 0.5 | - | words |",
    ]
