"""The benchmark of the start-up: both sides compute the same vector, every step is timed, and the table holds the medians."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
import start_up

SECONDS = r"[\d.]+"


@pytest.fixture(scope="module")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A tiny network for each of the two."""
    return start_up.folders("410M", True, tmp_path_factory.mktemp("start-up"))


def test_both_compute_the_same_vector(tiny_folders, monkeypatch, capsys) -> None:
    pytest.importorskip("sentence_transformers")
    vectors = []
    for script, folder in zip((start_up.OURS, start_up.THEIRS), tiny_folders, strict=True):
        monkeypatch.setattr(sys, "argv", ["-c", folder, "float32", start_up.QUESTION])
        names: dict = {}
        exec(start_up.BEFORE + script + start_up.AFTER, names)
        vectors.append(names["vectors"])
        assert re.fullmatch(rf"\[{SECONDS}(e-\d+)?(, {SECONDS}(e-\d+)?){{3}}\]", capsys.readouterr().out.strip())
    np.testing.assert_allclose(*vectors, rtol=1e-4, atol=1e-5)


def test_a_process_is_longer_than_its_steps_together() -> None:
    *steps, total, process = start_up.measure("mark()\nmark()\n", "folder", "float32")
    assert len(steps) == 3
    assert sum(steps) == pytest.approx(total)
    assert process > total > 0
    with pytest.raises(RuntimeError, match=r"the process that loads no-folder failed: [\s\S]*KeyError"):
        start_up.measure("raise KeyError\n", "no-folder", "float32")


def test_the_table_holds_medians_and_their_ratio() -> None:
    ours = [[1.0, 1.0, 1.0, total, 9.0] for total in (3.0, 2.0, 7.0)]
    theirs = [[1.0, 2.0, 1.0, total, 9.0] for total in (5.0, 6.0, 12.0)]
    lines = [line.split() for line in start_up.table("mini", "float32", ours, theirs)]
    assert lines[0] == ["mini,", "float32,", "processes", "of", "each:", "3"]
    assert lines[3] == ["load", "1.00", "2.00", "2.0"]
    assert lines[5] == ["total", "3.00", "6.00", "2.0"]
    assert lines[7] == ["best", "total", "2.00", "5.00", "2.5"]
