"""Every notebook runs from its first cell to its last, without a network, and is stored without outputs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file

FOLDER = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def cells(name: str) -> list[dict]:
    content = json.loads((FOLDER / f"{name}.ipynb").read_text("utf-8"))
    assert content["nbformat"] == 4
    return content["cells"]


def source_of(cell: dict) -> str:
    return "".join(cell["source"])


def run(name: str, folder: Path, then: str) -> str:
    """Run the code cells in order in one new process, then some lines that check what they left behind; return the output."""
    try:
        installed_file(PUBMED_SAMPLE)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    code = [source_of(cell) for cell in cells(name) if cell["cell_type"] == "code"]
    script = folder / "cells.py"
    script.write_text("\n\n".join([*code, then]), "utf-8")
    silent = {"HF_HUB_OFFLINE": "1", "HAYSTACK_TELEMETRY_ENABLED": "False", "TMPDIR": str(folder)}
    environment = {**os.environ, **silent, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:__main__", str(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_an_index_is_made_searched_and_measured(tmp_path):
    pytest.importorskip("ir_measures")
    then = (
        "assert status == 0 and scores[0, 0] > scores[0, 1] and [hit.rank for hit in hits] == [1, 2, 3, 4, 5]\n"
        "assert len(records) > 100 and (folder / 'scores.json').is_file(); print('best:', hits[0].title)"
    )
    printed = run("embed_index_evaluate", tmp_path, then)
    assert re.search(r"^best: .*(sleep|attention|ADHD)", printed, re.MULTILINE | re.IGNORECASE)
    table = printed[printed.index("questions\n") :]
    assert "mini" in table
    assert "BM25" in table


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_stored_without_outputs(name):
    code = [cell for cell in cells(name) if cell["cell_type"] == "code"]
    assert len(code) >= 4
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_the_table_names_every_notebook():
    table = (FOLDER / "README.md").read_text("utf-8")
    assert re.findall(r"^\| \[(\w+)\.ipynb\]\(\1\.ipynb\)", table, re.MULTILINE) == NOTEBOOKS
