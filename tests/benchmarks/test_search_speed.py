"""The benchmark of searches runs, and measures an index whose answers are right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "search_speed.py"


def test_it_makes_an_index_and_measures_every_kind_of_search(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--rows", "300", "--folder", str(tmp_path / "i")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    timed = re.findall(r"^(.*?) +p50 +[\d.]+ ms", done.stdout, re.MULTILINE)
    assert timed == ["vector, exact", "hybrid, exact", "text", "filter that keeps 1 in 10,000"]
    assert "recall@10 of search_many: 1.0000" in done.stdout
