"""A lost Ray actor is replaced by one that has its engine; the cluster is played by a stand-in."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from bmretriever_integrations.parallel.dispatcher import WorkerLost
from bmretriever_integrations.parallel.ray_workers import RayWorker
from bmretriever_integrations.settings import EncoderSettings


class Lost(Exception):
    """What Ray raises for a dead actor."""


class FakeActor:
    """Loads when it may, and runs only when it has loaded."""

    def __init__(self, may_load):
        self.loaded = self.dead = False
        self.may_load = may_load
        self.load = SimpleNamespace(remote=lambda: self._load)
        self.run = SimpleNamespace(remote=lambda job: lambda: self._run(job))

    def _load(self):
        assert self.may_load.wait(10)
        if self.dead:
            raise Lost("killed")
        self.loaded = True

    def _run(self, job):
        if self.dead:
            raise Lost("died")
        if not self.loaded:
            raise RuntimeError("no engine was loaded")
        return job, 0  # texts that were cut


@pytest.fixture
def ray():
    made, killed, may_load = [], [], threading.Event()
    may_load.set()

    def remote(**_options):
        def make(_settings, _token):
            made.append(FakeActor(may_load))
            return made[-1]

        return lambda _actor: SimpleNamespace(remote=make)

    def kill(actor):
        actor.dead = True
        killed.append(actor)
        may_load.set()

    errors = SimpleNamespace(RayTaskError=type("RayTaskError", (Exception,), {}), RayError=Lost)
    return SimpleNamespace(
        remote=remote,
        get=lambda reference: reference(),
        kill=kill,
        exceptions=errors,
        made=made,
        killed=killed,
        may_load=may_load,
    )


@pytest.fixture
def worker(ray):
    """Its first actor has loaded, and died at its first work."""
    worker = RayWorker(ray, "Ray worker 1", EncoderSettings(model="none"), {})
    worker.load()
    ray.made[0].dead = True
    with pytest.raises(WorkerLost):
        worker.do(work())
    return worker


def work():
    return SimpleNamespace(job=[1, 2], report=lambda _count: None, count_cut=lambda _count: None)


def replacing(ray, worker):
    """Begin to replace the lost actor; it has not loaded yet."""
    ray.may_load.clear()
    found = []
    thread = threading.Thread(target=lambda: found.append(worker.replace()))
    thread.start()
    while len(ray.made) < 2:
        thread.join(0.01)
    return thread, found


def test_another_lane_gets_no_actor_without_an_engine(ray, worker):
    thread, found = replacing(ray, worker)
    with pytest.raises(WorkerLost):  # the slot waits for the replacement then, in replace()
        worker.do(work())
    ray.may_load.set()
    thread.join(10)
    assert found == [True]
    assert worker.replace()  # what the other slot does next: nothing is left to do
    assert worker.do(work()) == [1, 2]
    assert len(ray.made) == 2


def test_a_worker_closed_meanwhile_leaves_no_actor_and_no_thread(ray, worker):
    thread, found = replacing(ray, worker)
    worker.close()  # ends the actor that is loading, too, and waits until the thread knows
    assert not worker.replace()
    thread.join(10)
    assert found == [False]
    assert set(ray.killed) == set(ray.made)
    assert len(ray.made) == 2
