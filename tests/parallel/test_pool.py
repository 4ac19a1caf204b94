"""EncoderPool: one encoder's interface, vectors and errors, whatever happens to its workers."""

from __future__ import annotations

import inspect
import itertools
import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.parallel import EncoderPool, WorkersLost
from bmretriever_integrations.parallel.worker_engine import WorkerEngine
from bmretriever_integrations.parallel.worker_group import WorkerLostWarning
from bmretriever_integrations.prompts import TASK_INSTRUCTIONS, passage_prompt, query_prompt
from bmretriever_integrations.testing import reference_encode

WORDS = ["aspirin", "stroke", "insulin", "glucose", "tumour", "biopsy", "enzyme", "receptor", "placebo", "cohort"]
TEXTS = [" ".join(WORDS[(i + j * j) % 10] for j in range(i * 7 % 61)) + f" {i}" for i in range(60)]
TEXTS += ["", "fever " * 800, "α-synuclein 🧬 حمى", TEXTS[3], TEXTS[3]]


def error(vectors, expected):
    return (np.linalg.norm(vectors - expected, axis=1) / np.linalg.norm(expected, axis=1)).max()


def test_vectors_are_the_references_in_the_callers_order(pool, checkpoint):
    titles = [None if i % 3 else f"Study {i}" for i in range(len(TEXTS))]
    expected = reference_encode(checkpoint, [passage_prompt(*pair) for pair in zip(TEXTS, titles, strict=True)])
    vectors = pool.encode_passages(TEXTS, titles)
    assert (vectors.shape, vectors.dtype, type(vectors)) == ((len(TEXTS), pool.width), np.float32, np.ndarray)
    assert error(vectors, expected) <= 1e-5
    for given, task in ((None, pool.instruction), ("scifact", TASK_INSTRUCTIONS["scifact"])):
        expected = reference_encode(checkpoint, [query_prompt(task, text) for text in TEXTS])
        assert error(pool.encode_queries(TEXTS, given), expected) <= 1e-5


def test_a_call_repeats_to_the_byte_and_writes_where_it_is_told(pool, tmp_path):
    once = pool.encode_passages(TEXTS)
    out = np.lib.format.open_memmap(tmp_path / "v.npy", "w+", np.float32, once.shape)
    assert pool.encode_passages(TEXTS, out=out) is out
    assert np.array_equal(out, once)
    with pytest.raises(ValueError, match="out must have the shape"):
        pool.encode_queries(TEXTS, out=out[1:])


def test_it_is_the_encoder_to_whoever_asks(pool, checkpoint):
    one, many = inspect.signature(BMRetrieverEncoder), inspect.signature(EncoderPool)
    assert set(many.parameters) - {"devices"} == set(one.parameters) - {"device"}
    for name in set(many.parameters) - {"devices"}:
        assert many.parameters[name] == one.parameters[name]
    for name in ("encode_queries", "encode_passages", "identity", "close"):
        assert inspect.signature(getattr(EncoderPool, name)) == inspect.signature(getattr(BMRetrieverEncoder, name))
    with BMRetrieverEncoder(checkpoint, device="cpu", dtype="float32") as encoder:
        assert pool.identity() == encoder.identity()
        assert (pool.width, pool.instruction) == (encoder.width, encoder.instruction)
        for call, words in (
            (("a text",), TypeError),
            (([1],), TypeError),
            ((["a"], ["b", "c"]), ValueError),
            ((["\ud800"],), ValueError),
        ):
            with pytest.raises(words) as expected:
                encoder.encode_passages(*call)
            with pytest.raises(words) as raised:
                pool.encode_passages(*call)
            assert str(raised.value) == str(expected.value)
    for part in ("devices=['cpu', 'cpu']", "workers='2 of 2'", "dtype='float32'", "width=64", "max_length=512"):
        assert part in repr(pool)


def test_no_text_no_rows(pool):
    assert pool.encode_passages([]).shape == pool.encode_queries([]).shape == (0, 64)


def test_both_workers_work(pool, before_each_job):
    texts = Counter()
    before_each_job(lambda worker, queued: texts.update({worker.pid: queued.job.texts}))
    pool.encode_passages(TEXTS)
    assert len(texts) == 2
    assert texts.total() == len(set(TEXTS))


def test_many_threads_at_once_get_their_own_vectors(pool):
    expected = [pool.encode_passages(TEXTS[start::5]) for start in range(5)]
    with ThreadPoolExecutor(5) as threads:
        found = list(threads.map(lambda start: pool.encode_passages(TEXTS[start::5]), range(5)))
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)


def test_the_bar_shows_rate_and_eta(pool, capfd):
    pool.progress = True
    try:
        pool.encode_passages(TEXTS)
    finally:
        pool.progress = False
    bar = capfd.readouterr().err
    assert "text/s" in bar
    assert "63/63" in bar  # distinct ones


def test_an_error_inside_a_worker_reaches_the_caller_and_the_pool_lives_on(pool):
    with pytest.raises(FloatingPointError, match="NaN or infinity") as caught:
        pool.encode_passages([*TEXTS, "bell \x07"])
    assert any("Raised in the worker on cpu" in note for note in caught.value.__notes__)
    (names,) = (note for note in caught.value.__notes__ if "in this call, these texts are the rows" in note)
    assert f" {len(TEXTS)}" in names
    assert np.isfinite(pool.encode_passages(TEXTS[:9])).all()


class InThisProcess:
    """A worker without a process."""

    made: ClassVar[list[InThisProcess]] = []

    def __init__(self, settings, sharers):
        self.name, self.settings, self.sharers = settings.device, settings, sharers
        self.made.append(self)

    def load(self):
        self.engine = WorkerEngine(self.settings)
        return self.engine.facts

    def do(self, queued):
        return self.engine.run(queued.job, queued.report)

    def close(self):
        pass


def test_settings_reach_the_workers(checkpoint, monkeypatch):
    monkeypatch.setattr("bmretriever_integrations.parallel.pool.ProcessWorker", InThisProcess)
    monkeypatch.setattr(InThisProcess, "made", [])
    settings = {"dtype": "float32", "max_length": 16, "normalize": True, "truncate_dim": 24, "forward": "plain"}
    with BMRetrieverEncoder(checkpoint, device="cpu", **settings) as encoder:
        expected = encoder.encode_passages(TEXTS)
    with EncoderPool(checkpoint, devices=["cpu", "cpu"], max_batch_tokens=300, **settings) as pool:
        assert (pool.width, pool.batch_tokens) == (24, 300)
        assert [worker.sharers for worker in InThisProcess.made] == [2, 2]
        assert error(pool.encode_passages(TEXTS), expected) <= 1e-5
    with pytest.raises(RuntimeError, match="closed; make new ones"):
        pool.encode_passages(TEXTS)
    assert "workers='closed'" in repr(pool)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with EncoderPool(checkpoint) as pool:
        assert pool.devices == ["cpu"]


def test_workers_that_would_disagree_are_refused(checkpoint, monkeypatch):
    class Half(InThisProcess):
        def load(self):
            self.settings = replace(self.settings, dtype="float32" if self.name == "cpu" else "bfloat16", device="cpu")
            return super().load()

    monkeypatch.setattr("bmretriever_integrations.parallel.pool.ProcessWorker", Half)
    with pytest.raises(
        ValueError, match=r"cpu and cuda:0 would make different .*dtype='float32' and 'bfloat16'\. Name a dtype"
    ):
        EncoderPool(checkpoint, devices=["cpu", "cuda:0"])


def test_other_versions_elsewhere_are_refused(checkpoint, monkeypatch):
    class Old(InThisProcess):
        def load(self):
            facts = super().load()
            return replace(facts, versions={**facts.versions, "torch": "2.5.0"})

    monkeypatch.setattr("bmretriever_integrations.parallel.pool.ProcessWorker", Old)
    with pytest.raises(ValueError, match=r"cpu has torch 2\.5\.0 and this process .*: install the same version"):
        EncoderPool(checkpoint, devices=["cpu"])


def test_ctrl_c_gives_up_the_call_and_not_the_pool(pool, before_each_job):
    before_each_job(lambda _worker, _queued: os.kill(os.getpid(), signal.SIGINT))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    with pytest.raises(KeyboardInterrupt):
        [pool.encode_passages(TEXTS) for _ in range(1000)]
    before_each_job(lambda _worker, _queued: None)
    assert np.isfinite(pool.encode_passages(TEXTS)).all()
    assert "workers='2 of 2'" in repr(pool)


def test_what_a_lost_worker_had_in_hand_is_done_by_the_others_until_none_is_left(
    checkpoint, gone, workers, before_each_job
):
    corpus = [f"{text} {turn}" for turn in range(8) for text in TEXTS]
    with EncoderPool(checkpoint, devices=["cpu", "cpu"], dtype="float32", max_batch_tokens=1024) as pool:
        expected = pool.encode_passages(corpus)
        first, second = (worker.pid for worker in workers)
        before_each_job(killing_after(2, first))
        with pytest.warns(
            WorkerLostWarning, match=rf"cpu \(process {first}\) ended by SIGKILL .*the others do its part"
        ):
            vectors = pool.encode_passages(corpus)
        assert np.array_equal(vectors, expected)  # who embeds a chunk does not change it
        assert "workers='1 of 2'" in repr(pool)
        before_each_job(killing_after(1, second))
        with (
            pytest.warns(WorkerLostWarning),
            pytest.raises(WorkersLost, match=rf"no worker is left: .*{first}.*; .*{second}"),
        ):
            pool.encode_passages(corpus)
        with pytest.raises(WorkersLost):
            pool.encode_queries(["x"])
        assert gone([first, second])


def killing_after(jobs, pid):
    """Kill a worker when it has been given so many jobs."""
    given = itertools.count(1)

    def act(worker, _queued):
        if worker.pid == pid and next(given) == jobs:
            os.kill(pid, signal.SIGKILL)

    return act


def test_a_worker_that_cannot_load_says_why_and_is_gone(checkpoint, gone, workers):
    with pytest.raises(ValueError, match=r"'cuda:99' is not there") as caught:
        EncoderPool(checkpoint, devices=["cuda:99"])
    assert "Raised in the worker on cuda:99" in caught.value.__notes__[0]
    assert len(workers) == 1
    assert gone([worker.pid for worker in workers])


def test_a_worker_that_ends_while_it_loads_leaves_its_last_words(checkpoint, monkeypatch, tmp_path):
    (tmp_path / "numpy.py").write_text("import sys; sys.exit('numpy is broken here')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(WorkersLost, match=r"ended with status 1: numpy is broken here, while it loaded the model"):
        EncoderPool(checkpoint, devices=["cpu"])


@pytest.mark.parametrize(
    ("devices", "kind", "words"),
    [
        ("cpu", TypeError, r"must be a list of str, got one str: write \['cpu'\]"),
        ([], ValueError, "must name at least one device"),
        ([0, 1], ValueError, "must name at least one device"),
    ],
)
def test_devices_are_checked_before_anything_is_started(checkpoint, devices, kind, words):
    with pytest.raises(kind, match=words):
        EncoderPool(checkpoint, devices=devices)
    with pytest.raises(ValueError, match="dtype must be one of"):
        EncoderPool(checkpoint, devices=["cpu"], dtype="int4")


SCRIPT = """
import subprocess, sys
from bmretriever_integrations.parallel import EncoderPool

started, plain = [], subprocess.Popen

def popen(*arguments, **named):
    started.append(plain(*arguments, **named))
    print(started[-1].pid, flush=True)
    return started[-1]

subprocess.Popen = popen
pool = EncoderPool(sys.argv[1], devices=["cpu"], dtype="float32")
print("loaded", flush=True)
pool.encode_passages([f"aspirin and stroke {i}" for i in range(100_000)])
"""


@pytest.fixture
def owner(checkpoint, tmp_path):
    script = tmp_path / "script.py"  # it needs no `if __name__ == "__main__"`
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), str(checkpoint)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_ctrl_c_ends_owner_and_workers_with_one_trace(owner, gone):
    worker = int(owner.stdout.readline())
    assert owner.stdout.readline() == "loaded\n"
    os.killpg(owner.pid, signal.SIGINT)  # as a terminal does
    _, complaints = owner.communicate(timeout=60)
    assert complaints.rstrip().endswith("KeyboardInterrupt")
    assert complaints.count("Traceback") == 1
    assert gone([worker])


@pytest.mark.parametrize("when", ["while it loads", "while it embeds"])
def test_no_worker_outlives_an_owner_that_was_killed(owner, gone, when):
    worker = int(owner.stdout.readline())
    if when == "while it embeds":
        assert owner.stdout.readline() == "loaded\n"
    owner.kill()
    assert gone([worker])
