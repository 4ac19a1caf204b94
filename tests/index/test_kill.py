"""kill -9 and Ctrl-C at several moments: the same command goes on and ends with an undisturbed run's bytes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RECORDS, SHARD_SIZE = 1200, 100


def command(source: Path, folder: Path, model: Path) -> list[str]:
    settings = ["--model", str(model), "--dtype", "float32", "--device", "cpu", "--shard-size", str(SHARD_SIZE)]
    return [sys.executable, "-m", "bmretriever_integrations", "index", str(source), "--to", str(folder), *settings]


def start(*arguments) -> subprocess.Popen[str]:
    return subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(*arguments) -> str:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no bar and no notice where nobody looks
    return done.stdout


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny, write_jsonl, contents):
    """Source, model, and the files of a run that nobody stopped."""
    home = tmp_path_factory.mktemp("kill")
    source = write_jsonl(home / "c.jsonl", RECORDS)
    assert finish(source, home / "i", tiny("llama")) == f"{home / 'i'}: 1,200 records, 1,200 of them embedded now\n"
    return source, tiny("llama"), contents(home / "i")


def kill(process: subprocess.Popen[str], folder: Path) -> int:
    """Kill it and count the records that are safe."""
    process.kill()
    process.communicate()
    shards = json.loads((folder / "manifest.json").read_text())["shards"]
    return sum(shard["records"] for shard in shards)


def test_killed_twice_and_run_again_gives_the_same_bytes(tmp_path: Path, undisturbed, contents) -> None:
    source, model, expected = undisturbed
    folder = tmp_path / "i"
    process = start(source, folder, model)
    wait_for(folder / "shard-000004.records.jsonl", process)  # in the middle of shard 4
    first = kill(process, folder)
    assert first >= 4 * SHARD_SIZE
    process = start(source, folder, model)
    wait_for(folder / f"shard-{first // SHARD_SIZE + 1:06d}.records.jsonl", process)
    time.sleep(random.uniform(0, 0.1))
    second = kill(process, folder)
    assert first < second
    assert f"1,200 records, {RECORDS - second:,} of them embedded now" in finish(source, folder, model)
    assert contents(folder) == expected


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_says_what_is_safe_and_how_to_go_on(tmp_path: Path, tiny, write_jsonl) -> None:
    source = write_jsonl(tmp_path / "c.jsonl", 20_000)  # minutes of work: it must not end before the signal comes
    folder = tmp_path / "i"
    process = start(source, folder, tiny("llama"))
    wait_for(folder / "shard-000001.vectors.npy", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    safe = sum(shard["records"] for shard in json.loads((folder / "manifest.json").read_text())["shards"])
    assert process.returncode == 130
    assert out == ""
    assert err == f"interrupted: {safe:,} records are safe in {folder}; run the same command to continue\n"


def test_of_two_writers_at_once_one_goes_on_and_one_is_told(tmp_path: Path, undisturbed, contents) -> None:
    source, model, expected = undisturbed
    folder = tmp_path / "i"
    both = [start(source, folder, model) for _ in range(2)]
    ends = [(*process.communicate(timeout=300), process.returncode) for process in both]
    told = [end for end in ends if end[2] != 0]
    assert contents(folder) == expected
    for out, err, status in told:  # none, if the one began after the other's end
        assert (out, status) == ("", 2)
        assert err == f"error: {folder} is being written by another process; wait for its end\n"
