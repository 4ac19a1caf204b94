"""Servers fork after loading: an engine then works, or says at once why not. Each case runs in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

BEGIN = """
import os, signal, sys, threading, time, warnings
import numpy as np
import torch
from bmretriever_integrations import BMRetrieverEncoder, EncoderPool
from bmretriever_integrations.encoder.sharing import EngineLease, LazyEngine
from bmretriever_integrations.settings import EncoderSettings
folder = sys.argv[1]
torch.set_num_threads(int(sys.argv[2]))
texts = [f"fever {number} " * (number % 40 + 1) for number in range(150)]

def in_child(work):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.alarm(60)  # a child that hangs is ended
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work()
        print(*(str(one.message)[:40] for one in caught), flush=True)
        os._exit(0)
    except BaseException as error:
        print(type(error).__name__, error, flush=True)
        os._exit(3)
"""


AFTER_USE = """
encoder = BMRetrieverEncoder(folder, dtype="float32", device="cpu")
expected = encoder.encode_passages(texts)

def work():
    for _ in range(2):
        assert np.allclose(encoder.encode_passages(texts), expected, rtol=1e-4, atol=1e-5)

assert in_child(work) == 0
"""
WHILE_OTHERS_WORK = """
encoder = BMRetrieverEncoder(folder, dtype="float32", device="cpu")
expected = encoder.encode_passages(texts)
settings = [EncoderSettings(model=folder, dtype="float32", device="cpu", max_length=length) for length in range(64, 128)]
shared, stop = LazyEngine(), threading.Event()

def encode():
    while not stop.is_set():
        encoder.encode_passages(texts)

def load():
    while not stop.is_set():
        for one in settings:
            shared.get(one)

import transformers

# version 4 changes torch.nn.Module for the whole process while it loads, and a fork would keep that
targets = (encode, encode, load) if transformers.__version__ >= "5" else (encode, encode)
threads = [threading.Thread(target=target) for target in targets]
for thread in threads:
    thread.start()

def work():
    assert np.allclose(encoder.encode_passages(texts), expected, rtol=1e-4, atol=1e-5)
    assert shared.get(settings[5]).encode_passages(texts).shape == expected.shape
    lease = EngineLease(settings[7])
    lease.engine.encode_queries(texts)

try:
    results = []
    for turn in range(5):
        time.sleep(0.03 * turn)
        results.append(in_child(work))
    assert results == [0] * 5, results
finally:
    stop.set()
    for thread in threads:
        thread.join()
"""
POOL = """
pool = EncoderPool(folder, devices=["cpu"])
expected = pool.encode_passages(texts)

def refused():
    pool.encode_passages(texts)

def closes():
    pool.close()
    sys.exit()

assert in_child(refused) == 3
assert in_child(closes) == 3
assert np.array_equal(pool.encode_passages(texts), expected)
"""
KILLED = """
encoder = BMRetrieverEncoder(folder, dtype="float32", device="cpu")
encoder.encode_passages(texts)

def forever():
    while True:
        encoder.encode_queries(["fever"])

children = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        forever()
    children.append(child)
    time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
assert in_child(lambda: encoder.encode_passages(texts)) == 0
"""
DATA_LOADER = """
from torch.utils.data import DataLoader

encoder = BMRetrieverEncoder(folder, dtype="float32", device="cpu")
expected = encoder.encode_passages(texts)
loader = DataLoader(texts, batch_size=50, num_workers=2, collate_fn=encoder.encode_passages, timeout=60)
assert np.allclose(np.concatenate(list(loader)), expected, rtol=1e-4, atol=1e-5)
"""
CASES = {
    "after use, 1 thread": (AFTER_USE, "llama", 1),
    "after use, 2 threads": (AFTER_USE, "llama", 2),
    "while others work": (WHILE_OTHERS_WORK, "gpt_neox", 1),
    "pool": (POOL, "llama", 1),
    "killed": (KILLED, "llama", 1),
    "data loader": (DATA_LOADER, "llama", 2),
}
"""Name -> script, architecture, threads of PyTorch."""


@pytest.fixture(scope="module")
def printed(tiny, tmp_path_factory) -> Callable[[str], str]:
    """A function: name of a case -> what it printed, after it ended well."""
    folder = tmp_path_factory.mktemp("forked")
    jobs = []
    for name, (body, architecture, threads) in CASES.items():
        (folder / f"{name}.py").write_text(BEGIN + body, encoding="utf-8")
        arguments = [str(tiny(architecture)), str(threads)]
        jobs.append({"name": name, "script": str(folder / f"{name}.py"), "arguments": arguments})
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parents[1] / "examples" / "run_forked.py"), str(folder)],
        input=json.dumps(jobs),
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        timeout=250,
        check=True,
    )
    codes = json.loads(done.stdout)

    def of(name: str) -> str:
        out, err = ((folder / f"{name}.{end}").read_text(encoding="utf-8") for end in ("out", "err"))
        assert codes[name] == 0, out + err
        return out

    return of


@pytest.mark.parametrize("threads", [1, 2])
def test_a_fork_after_use_makes_the_same_vectors(printed, threads):
    out = printed(f"after use, {threads} thread{'s' * (threads > 1)}")
    assert out.count("this process was forked after an engine") == (1 if threads > 1 else 0)  # said once


def test_a_fork_while_other_threads_encode_and_load(printed):
    assert printed("while others work").count("\n") == 5  # warnings of each child: none


def test_a_pool_refuses_a_fork_and_goes_on_where_it_was_opened(printed):
    assert "RuntimeError these workers belong to process" in printed("pool")


def test_a_killed_fork_does_not_stop_the_others(printed):
    assert printed("killed") == "\n"  # of the child that was not killed


def test_workers_of_a_data_loader_make_the_same_vectors(printed):
    assert "CutTextWarning" not in printed("data loader")
