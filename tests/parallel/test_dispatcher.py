"""Chunks, turns and losses, with workers that are threads."""

from __future__ import annotations

import os
import pickle
import threading
from concurrent.futures import wait
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations.parallel import chunks, shared_memory
from bmretriever_integrations.parallel.dispatcher import Dispatcher, WorkerLost, WorkersLost
from bmretriever_integrations.parallel.fair_queue import FairQueue, QueuedJob, no_report
from bmretriever_integrations.parallel.jobs import Facts, Job
from bmretriever_integrations.parallel.messages import Embedded, Failed, Finished, Load, Work, portable
from bmretriever_integrations.parallel.worker import Server
from bmretriever_integrations.settings import EncoderSettings


class Fake:
    """Gives each job's text back; fails, or is lost, where it is told to."""

    def __init__(self, name, lost_at=(), replacements=0, load=None, gate=None):
        self.name, self._lost_at, self._left, self._load, self._gate = name, lost_at, replacements, load, gate
        self.did, self.closed = [], False

    def load(self):
        if self._load is not None:
            raise self._load
        return Facts(1, 10, {}, {}, 0)

    def do(self, queued):
        if self._gate is not None:
            assert self._gate.wait(10)
        ((text,), _titles), *_ = queued.job.calls
        queued.report(1)
        if text in self._lost_at:
            raise WorkerLost(f"{self.name} ended at {text}")
        if text == "bad":
            raise ValueError("bad text")
        self.did.append(text)
        return text

    def replace(self):
        self._left -= 1
        return self._left >= 0

    def close(self):
        self.closed = True


class LostOnce(Fake):
    """Whole again after its first loss."""

    def do(self, queued):
        try:
            return super().do(queued)
        except WorkerLost:
            self._lost_at = ()
            raise


def jobs(*texts, done=no_report):
    return [QueuedJob(Job("encode_passages", (([text], [""]),), 10), done, lambda _cut: None) for text in texts]


def results(queued):
    return [one.result.result(timeout=10) for one in queued]


def test_callers_take_turns():
    turns = FairQueue()
    turns.add(jobs("a1", "a2", "a3"))
    turns.add(jobs("b1"))
    turns.add(jobs("c1", "c2"))
    taken = [turns.take().job.calls[0][0][0] for _ in range(6)]
    assert taken == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_what_was_cancelled_is_not_begun():
    turns = FairQueue()
    first, second = jobs("a", "b")
    turns.add([first, second])
    first.result.cancel()
    assert turns.take() is second


def test_all_work_is_done_and_errors_are_their_own():
    dispatcher = Dispatcher([Fake("one"), Fake("two")])
    good, bad, more = jobs("a"), jobs("bad"), jobs(*"cdefg")
    for some in (good, bad, more):
        dispatcher.submit(some)
    assert results(good + more) == list("acdefg")
    with pytest.raises(ValueError, match="bad text"):
        results(bad)
    assert dispatcher.alive == 2
    dispatcher.close()


def test_a_lost_workers_errand_is_done_by_another_and_counted_once():
    counted = []
    dispatcher = Dispatcher([Fake("one", lost_at="abcdefgh"), Fake("two")])
    work = jobs(*"abcdefgh", done=counted.append)
    dispatcher.submit(work)
    assert results(work) == list("abcdefgh")
    assert sum(counted) == 8
    if dispatcher.lost:  # unless the other was quicker with all eight
        assert dispatcher.alive == 1
        assert dispatcher.lost[0].startswith("one ended at")
    dispatcher.close()


def test_when_none_is_left_everybody_is_told_how_each_ended():
    gate = threading.Event()
    dispatcher = Dispatcher([Fake("one", lost_at="abcdef", gate=gate), Fake("two", lost_at="abcdef", gate=gate)])
    work = jobs(*"abcdef")
    dispatcher.submit(work)
    gate.set()
    for one in work:
        with pytest.raises(WorkersLost, match=r"no worker is left: .*one ended at .*"):
            one.result.result(timeout=10)
    with pytest.raises(WorkersLost, match="two ended at"):
        dispatcher.submit(jobs("g"))
    assert dispatcher.alive == 0


def test_a_worker_that_is_replaced_goes_on():
    dispatcher = Dispatcher([LostOnce("one", lost_at=["b"], replacements=1)])
    work = jobs("a", "b", "c")
    dispatcher.submit(work)
    assert results(work) == ["a", "b", "c"]
    assert dispatcher.lost == ["one ended at b"]
    assert dispatcher.alive == 1
    dispatcher.close()


def test_one_that_cannot_load_closes_all():
    workers = [Fake("one"), Fake("two", load=FileNotFoundError("no such model")), Fake("three")]
    with pytest.raises(FileNotFoundError, match="no such model"):
        Dispatcher(workers)
    assert all(worker.closed for worker in workers)
    with pytest.raises(WorkersLost, match="two ended, while it loaded the model"):
        Dispatcher([Fake("two", load=WorkerLost("two ended"))])


def test_closing_gives_up_what_waits():
    gate = threading.Event()
    dispatcher = Dispatcher([Fake("one", gate=gate)])
    work = jobs(*"abcdef")
    dispatcher.submit(work)
    dispatcher.close()
    gate.set()
    wait([one.result for one in work], timeout=10)
    with pytest.raises(RuntimeError, match="these workers are closed"):
        results(work)
    with pytest.raises(RuntimeError, match="these workers are closed"):
        dispatcher.submit([])


def test_chunks_hold_every_text_once_longest_first_and_equal_work():
    sizes = [int(size) for size in np.random.default_rng(0).integers(8, 512, 5000)]
    cut = chunks.cut(sizes, 4096, 2)
    assert sorted(row for chunk in cut for row in chunk) == list(range(5000))
    flat = [sizes[row] for chunk in cut for row in chunk]
    assert flat == sorted(sizes, reverse=True)
    work = [sum(sizes[row] for row in chunk) for chunk in cut]
    assert max(work) <= chunks.CHUNK_BATCHES * 4096
    assert min(work[:-1]) >= chunks.CHUNK_BATCHES * 4096 - 512


def test_a_small_call_is_shared_out_but_not_into_crumbs():
    assert len(chunks.cut([100] * 384, 4096, 4)) == 4 * chunks.CHUNKS_A_WORKER
    assert len(chunks.cut([20] * 30, 4096, 4)) == 2  # 600 tokens; 512 are the least
    assert chunks.cut([], 4096, 4) == []
    assert chunks.cut([9000], 64, 1) == [[0]]


def test_tokens_are_estimated_up_to_the_cut():
    assert chunks.estimate(0, 512) == chunks.TEMPLATE_TOKENS
    assert chunks.estimate(400, 512) == 108
    assert chunks.estimate(4000, 512) == 512


@pytest.mark.parametrize("memfd", [True, False])
def test_shared_rows_are_written_by_path_and_leave_nothing(memfd, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if not memfd:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    elif not hasattr(os, "memfd_create"):
        pytest.skip("this system has no memfd_create")
    with shared_memory.shared_rows(3, 2) as rows:
        array = rows.map()
        pickle.loads(pickle.dumps(rows)).map()[:] = np.arange(6).reshape(3, 2)
        assert len(list(tmp_path.iterdir())) == (0 if memfd else 1)
    assert array.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        rows.map()


def test_what_the_package_has() -> None:
    from bmretriever_integrations import parallel

    assert all(getattr(parallel, name).__name__ == name for name in parallel.__all__)
    with pytest.raises(AttributeError, match=r"no attribute 'Pool'; it has EncoderPool"):
        parallel.Pool  # noqa: B018


class Local(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def test_an_error_travels_or_says_the_same():
    kept = pickle.loads(pickle.dumps(portable(FloatingPointError("NaN"), "cuda:1")))
    assert (type(kept), str(kept)) == (FloatingPointError, "NaN")
    assert "Raised in the worker on cuda:1" in kept.__notes__[0]
    changed = portable(Local(1, 2), "cuda:1")
    assert (type(changed), str(changed)) == (RuntimeError, "Local: 1 2")


def test_a_desk_answers_every_question(tiny, tmp_path, monkeypatch):
    threads = []
    monkeypatch.setattr("torch.get_num_threads", lambda: 7)
    monkeypatch.setattr("torch.set_num_threads", threads.append)
    sent = BytesIO()
    server = Server(sent)
    settings = EncoderSettings(model=str(tiny("llama")), device="cpu", dtype="float32")
    job = Job("encode_passages", ((["a"] * 3, [""] * 3), (["b"], [""])), 64)
    with shared_memory.shared_rows(4, 64) as rows:
        server.handle(1, Work(job, rows))
        server.handle(2, Load(settings, sharers=3, token=None))
        server.handle(3, Work(job, rows))
        vectors = rows.map()
    sent.seek(0)
    said = [pickle.load(sent) for _ in range(5)]
    assert [number for number, _ in said] == [1, 2, 3, 3, 3]
    assert isinstance(said[0][1], Failed)
    assert said[1][1].facts.width == 64
    assert [answer for _, answer in said[2:]] == [Embedded(3), Embedded(1), Finished()]
    assert np.isfinite(vectors).all()
    assert (vectors[0] == vectors[1]).all()
    assert (vectors[0] != vectors[3]).any()
    assert threads == [2]
    assert Path(settings.model).is_dir()
