"""The benchmark's own modules, and one tiny run of everything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))  # as Python does for benchmarks/run.py
sys.path.append(str(Path(__file__).parent))  # made_up_results is beside its tests

from side_by_side.options import CASES  # noqa: E402
from side_by_side.texts import QUESTIONS  # noqa: E402

WORDS = "heparin lowered mortality in adults with venous thrombosis, as a randomised trial of two doses showed"


@dataclass(frozen=True)
class Run:
    """What ``benchmarks/gpu.sh --tiny`` left."""

    path: Path
    content: dict
    printed: str


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A folder laid out as the one with the real texts: invented abstracts of 10 to 700 words, and questions."""
    root = tmp_path_factory.mktemp("data")
    for task in QUESTIONS:
        (root / "eval" / task).mkdir(parents=True)
    with (root / "eval" / "scifact" / "corpus.jsonl").open("w") as file:
        for row in range(40):
            words = WORDS.split()
            text = " ".join(words[(row + i) % len(words)] for i in range(10 + row * (18 if row > 35 else 3)))
            file.write(json.dumps({"_id": str(row), "title": f"Trial {row}", "text": text}) + "\n")
    for task in QUESTIONS:
        questions = [f"what is the {task} dose of {word} at {age}" for age, word in enumerate(WORDS.split()[:9], 30)]
        lines = [json.dumps({"_id": str(row), "text": text}) for row, text in enumerate(questions)]
        (root / "eval" / task / "queries.jsonl").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, data) -> Run:
    """
    All cases and contenders on a tiny network of Mistral's kind: a BOS, grouped heads, a sliding window.

    By the command for GPUs, rehearsed on the CPU.
    """
    if shutil.which("timeout") is None:
        pytest.skip("benchmarks/gpu.sh is for Linux")
    to = tmp_path_factory.mktemp("results") / "tiny"
    command = [BENCHMARKS / "gpu.sh", "--tiny", "--no-tests", "--data", data, "--to", to, "--commit", "c0ffee"]
    command += ["--", "--models", "7B", "--layers", "2", "3", "--threads", "1", "--cases", *CASES]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    environment = {**alone, "OMP_NUM_THREADS": "1", "PYTHON": sys.executable}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    path = (to / "result.json").rename(to / "tiny.json")
    return Run(path, json.loads(path.read_text()), done.stdout)
