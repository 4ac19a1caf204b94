"""Servers fork after loading: an engine then works, or says at once why not. Each case runs in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

BEGIN = """
import os, signal, sys, threading, time, warnings
import numpy as np
from bmretriever_integrations import BMRetrieverEncoder, EncoderPool
from bmretriever_integrations.encoder.sharing import EngineLease, LazyEngine
from bmretriever_integrations.settings import EncoderSettings
folder = sys.argv[1]
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


def run(body: str, folder: object, threads: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEGIN + textwrap.dedent(body), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_a_fork_after_use_makes_the_same_vectors(tiny, threads):
    done = run(
        """
        encoder = BMRetrieverEncoder(folder, dtype="float32", device="cpu")
        expected = encoder.encode_passages(texts)

        def work():
            for _ in range(2):
                assert np.allclose(encoder.encode_passages(texts), expected, rtol=1e-4, atol=1e-5)

        assert in_child(work) == 0
        """,
        tiny("llama"),
        threads,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    warned = "this process was forked after an engine"
    assert done.stdout.count(warned) == (1 if threads > 1 else 0)  # said once


def test_a_fork_while_other_threads_encode_and_load(tiny):
    done = run(
        """
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
        """,
        tiny("gpt_neox"),
        1,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_pool_refuses_a_fork_and_goes_on_where_it_was_opened(tiny):
    done = run(
        """
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
        """,
        tiny("llama"),
        1,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "RuntimeError these workers belong to process" in done.stdout


def test_a_killed_fork_does_not_stop_the_others(tiny):
    done = run(
        """
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
        """,
        tiny("llama"),
        1,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_workers_of_a_data_loader_make_the_same_vectors(tiny):
    done = run(
        """
        from torch.utils.data import DataLoader

        encoder = BMRetrieverEncoder(folder, dtype="float32", device="cpu")
        expected = encoder.encode_passages(texts)
        loader = DataLoader(texts, batch_size=50, num_workers=2, collate_fn=encoder.encode_passages, timeout=60)
        assert np.allclose(np.concatenate(list(loader)), expected, rtol=1e-4, atol=1e-5)
        """,
        tiny("llama"),
        2,
    )
    assert done.returncode == 0, done.stdout + done.stderr
