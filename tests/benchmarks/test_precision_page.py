"""The page's tables are those of the measured JSON."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations.evaluation.tasks.retrieval import load_task

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "benchmarks" / "precision.json"


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def maker():
    return script("precision_page")


def test_page_equals_report(maker):
    page = (ROOT / "docs" / "precision.md").read_text(encoding="utf-8")
    assert maker.filled(page, json.loads(REPORT.read_bytes())) == page


def test_a_number_that_changes_shows(maker):
    page = (ROOT / "docs" / "precision.md").read_text(encoding="utf-8")
    report = json.loads(REPORT.read_bytes())
    report["scores"][3]["mean"] += 0.01
    assert maker.filled(page, report) != page
    with pytest.raises(ValueError, match="one <!-- scores -->"):
        maker.filled("no marks", report)


def test_means_are_of_the_tasks():
    for row in json.loads(REPORT.read_bytes())["scores"]:
        values = list(row["ndcg@10"].values())
        assert row["mean"] == pytest.approx(sum(values) / len(values), abs=1e-4)
        assert len(values) == 9


def test_measuring_a_small_task(write_task, tmp_path):
    documents = {
        f"d{n}": f"{drug} treats {illness}"
        for n, (drug, illness) in enumerate(zip("abcdefgh", "stuvwxyz", strict=True))
    }
    queries = {f"q{n}": text for n, text in enumerate(documents.values())}
    task = load_task(write_task("my-task", documents, queries, [(f"q{n}", f"d{n}", 1) for n in range(8)]))
    rows = script("precision").scores([task], tmp_path / "vectors")
    by_plan = {(row["weights"], row["vectors"], row["width"], row["rescored"]): row for row in rows}
    full = by_plan["float32", "float32", 576, 0]
    # so few documents that every one of them is scored anew
    assert by_plan["float32", "binary", 576, 40]["mean"] == full["mean"]
    assert by_plan["float32", "binary", 576, 0]["bytes"] * 32 == full["bytes"] == 4 * 576
    assert by_plan["float32", "int8", 144, 0]["bytes"] == 144
    kept = np.load(tmp_path / "vectors" / "int8" / "my-task.passages.npy")
    assert not np.array_equal(kept, np.load(tmp_path / "vectors" / "float32" / "my-task.passages.npy"))
