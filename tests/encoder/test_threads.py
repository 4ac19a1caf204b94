"""C5: many threads and coroutines on one engine."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.encoder.sharing import EngineLease, engines_open
from bmretriever_integrations.settings import EncoderSettings

TEXTS = [f"case {number} " * (number % 25 + 1) for number in range(200)]


def test_sixteen_threads_get_the_same_vectors_one_batch_at_a_time(tiny, watch):
    encoder = BMRetrieverEncoder(tiny("gemma"), max_batch_tokens=500)
    expected = {number: encoder.encode_passages(TEXTS[number::16]) for number in range(16)}
    inside, most = [], []

    def counted(run, lengths):
        inside.append(1)
        most.append(len(inside))
        result = run()
        inside.pop()
        return result

    watch(counted)
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda number: encoder.encode_passages(TEXTS[number::16]), list(range(16)) * 3))
    for number, vectors in zip(list(range(16)) * 3, results, strict=True):
        assert vectors.tobytes() == expected[number].tobytes()
    assert max(most) == 1


async def test_two_hundred_coroutines(tiny):
    encoder = BMRetrieverEncoder(tiny("gpt_neox"))
    expected = [encoder.encode_queries([text])[0] for text in TEXTS]
    results = await asyncio.gather(*(asyncio.to_thread(encoder.encode_queries, [text]) for text in TEXTS))
    for vector, wanted in zip(results, expected, strict=True):
        assert vector.tobytes() == wanted.tobytes()


def test_a_query_need_not_wait_for_the_end_of_a_corpus(tiny, watch):
    encoder = BMRetrieverEncoder(tiny("llama"), max_batch_tokens=64)
    question = encoder.encode_queries(["one question"])
    begun, asked, batches, order = threading.Event(), threading.Event(), [], []

    def held(run, lengths):
        batches.append(lengths)
        if len(batches) == 3:  # the corpus has its turn: it ends when the question waits for the next one
            begun.set()
            assert asked.wait(10)
            time.sleep(0.05)  # from asking to waiting
        return run()

    def ask():
        assert begun.wait(10)
        asked.set()
        assert np.array_equal(encoder.encode_queries(["one question"]), question)
        order.append(f"question, after {len(batches)} batches")

    watch(held)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask)
        encoder.encode_passages([f"{text} {turn}" for text in TEXTS for turn in range(3)])
        order.append("corpus")
        answer.result(10)
    assert order[0].startswith("question")
    assert len(batches) > 100


def test_equal_settings_share_one_engine_and_the_last_one_frees_it(tiny):
    settings = EncoderSettings(model=str(tiny("llama")))
    gc.collect()
    before = engines_open()
    with ThreadPoolExecutor(8) as pool:
        leases = list(pool.map(EngineLease, [settings] * 8))
    assert len({id(lease.engine) for lease in leases}) == 1
    assert engines_open() == before + 1
    other = EngineLease(EncoderSettings(model=str(tiny("llama")), max_length=64))
    assert other.engine is not leases[0].engine
    other.release()
    for lease in leases[:-1]:
        lease.release()
        lease.release()  # twice does nothing
    assert leases[-1].engine.encode_queries(["still open"]).shape == (1, 64)
    leases[-1].release()
    assert engines_open() == before
    with pytest.raises(RuntimeError, match="closed"):
        leases[-1].engine.encode_queries(["text"])


def test_a_failed_load_leaves_nothing_behind(tmp_path):
    gc.collect()
    before = engines_open()
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match="is no folder"):
            EngineLease(EncoderSettings(model=str(tmp_path / "nothing")))
    assert engines_open() == before


def test_nan_is_an_error_not_a_vector(tiny, watch):
    encoder = BMRetrieverEncoder(tiny("llama"))
    watch(lambda run, lengths: run() * float("nan"))
    with pytest.raises(FloatingPointError, match=r"2 of 2 vectors .* \(rows 0, 1\)"):
        encoder.encode_passages(["a", "b", "a"])


@pytest.mark.parametrize("second", ["mini", "a folder"])
def test_networks_are_read_one_at_a_time(tiny, monkeypatch, second):
    """Otherwise bfloat16, PyTorch's default type while transformers makes the network, would stay the whole process's."""
    real, entered = torch.set_default_dtype, threading.Event()

    def slowly(dtype):
        real(dtype)
        entered.set()
        time.sleep(0.1)

    monkeypatch.setattr(torch, "set_default_dtype", slowly)
    with ThreadPoolExecutor(2) as pool:
        loads = [pool.submit(BMRetrieverEncoder, tiny("llama"), dtype="bfloat16")]
        assert entered.wait(10)
        loads.append(pool.submit(BMRetrieverEncoder, "mini" if second == "mini" else tiny("llama"), dtype="bfloat16"))
        for load in loads:
            assert str(load.result().dtype) == "torch.bfloat16"
    assert torch.get_default_dtype() == torch.float32


def test_a_lease_that_is_dropped_lets_the_engine_go(tiny):
    settings = EncoderSettings(model=str(tiny("llama")), max_length=48)
    before = engines_open()
    lease, same = EngineLease(settings), EngineLease(settings)
    assert engines_open() == before + 1
    del lease
    same.engine.encode_queries(["still there"])
    del same
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "bmretriever-release":
            thread.join(10)
    assert engines_open() == before
