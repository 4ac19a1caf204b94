"""A benchmark with a time budget: what begins, how many rounds there are, and that what was measured stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from side_by_side import budget
from side_by_side.budget import Budget
from side_by_side.options import Options

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    return now


def test_a_case_begins_where_enough_is_left(clock):
    """A model that is there already needs less than one that has to be made."""
    some = Budget(100)
    assert some.begin("410M", "passages")
    clock[0] += 100 - budget.LEAST_WITH_MODEL + 1
    assert some.begin("410M", "queries")
    assert not some.begin("2B", "passages")
    clock[0] += budget.LEAST_WITH_MODEL - budget.LEAST
    assert not some.begin("410M", "one-query")
    assert Budget(None).begin("7B", "passages")


def test_a_case_needs_what_it_took_with_the_model_before(clock):
    some = Budget(200)
    assert some.begin("410M", "passages")
    clock[0] += 60
    some.end()
    some.end()  # a case that was skipped ends, too
    assert some.left() == 140
    assert some.begin("2B", "passages")
    clock[0] += 51
    some.end()
    assert some.begin("7B", "passages")  # 89 s are left, 76.5 s is 1.5 times what it took
    clock[0] += 13
    assert not some.begin("7B", "passages")
    assert some.begin("7B", "queries")


def test_rounds_fit_into_what_is_left(clock):
    some = Budget(100)
    clock[0] += 40
    assert [some.rounds(5, seconds) for seconds in (1, 12, 14, 25, 500)] == [5, 5, 4, 2, 2]
    assert Budget(None).rounds(5, 500) == 5


@pytest.mark.parametrize(
    ("enough_after", "until", "played"),
    [(3, 1000, 3), (5, 1000, 5), (99, 1000, budget.MOST_ROUNDS), (99, 135, 6), (99, 109, 3)],
)
def test_rounds_go_on_until_there_are_enough_or_the_time_is_over(clock, enough_after, until, played):
    """Three were played; each takes ten seconds, and none begins that would end too late."""
    done = [3]

    def play():
        clock[0] += 10
        done[0] += 1

    assert budget.play_on(play, lambda: done[0] >= enough_after, 3, 10, until) == played == done[0]


def test_a_budget_is_positive():
    with pytest.raises(ValueError, match="budget must be at least 1, got 0"):
        Options(budget=0)


def environment():
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    return {**alone, "OMP_NUM_THREADS": "1", "PYTHON": sys.executable}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)


def test_what_does_not_fit_is_left_out_and_said(tmp_path, data):
    """The budget is too small for a model to be made: no case begins, an earlier result stays, nothing fails."""
    output = tmp_path / "out.json"
    output.write_text("of an earlier run")
    arguments = [BENCHMARKS / "run.py", "--tiny", "--models", "410M", "--budget", "2", "--goals", "--output", output]
    done = run(sys.executable, *arguments, "--data", data)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "too little is left of 2 seconds" in done.stdout
    assert "| goal |" not in done.stdout
    assert output.read_text() == "of an earlier run"


def test_what_was_measured_stays_when_the_run_is_killed(tmp_path, data):
    output = tmp_path / "out.json"
    sizes = ["--contenders", "ours", "--layers", "2", "--rounds", "2", "--data", data, "--output", output]
    running = subprocess.Popen(
        [sys.executable, BENCHMARKS / "run.py", "--tiny", "--models", "410M", "1B", *sizes],
        env=environment(),
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not output.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.kill()
    assert running.wait() == -signal.SIGKILL
    found = [entry["extra_info"]["result"] for entry in json.loads(output.read_text())["benchmarks"]]
    assert found[0]["model"] == "410M"
    assert found[0]["contenders"]["ours"]["depths"]["2"]["seconds"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--frob"], "--frob is no option"),
        (["--budget", "soon"], "--budget must be whole seconds, got soon"),
        (["--budget", "0"], "got 0"),
    ],
)
def test_the_command_for_gpus_refuses_what_it_does_not_know(arguments, said):
    done = run(BENCHMARKS / "gpu.sh", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_the_command_for_gpus_explains_itself():
    done = run(BENCHMARKS / "gpu.sh", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("All that this project wants to know of one GPU")
    assert "#" not in done.stdout
