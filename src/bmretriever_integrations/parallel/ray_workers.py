"""Run workers on a Ray cluster. Each worker is an actor with one engine; Ray chooses its machine."""

from __future__ import annotations

import importlib
import threading
import warnings
from dataclasses import replace
from typing import Any

from bmretriever_integrations.encoder.cut_texts import CutTextWarning
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.parallel.dispatcher import SLOTS, WorkerLost
from bmretriever_integrations.parallel.fair_queue import QueuedJob, no_report
from bmretriever_integrations.parallel.jobs import Facts, Job
from bmretriever_integrations.parallel.worker_engine import WorkerEngine
from bmretriever_integrations.parallel.worker_group import WorkerGroup
from bmretriever_integrations.settings import EncoderSettings

NOTICED = 10.0
"""Most seconds until a thread notices that the actor which it waits for was killed; else a thousandth of that."""
REPLACEMENTS = 3
"""The number of times that a lost worker is started again. Single machines may fail, but an error that ends every worker must end
the run."""


class RayEngines(WorkerGroup):
    """A group of workers in actors of a Ray cluster, for building an index. Ray sends them the texts and returns the vectors."""

    def __init__(self, settings: EncoderSettings, *, workers: int | None = None, address: str | None = None) -> None:
        """
        Start the actors and load the model in all of them at the same time.

        If this process has already called ``ray.init``, that connection is used.

        :param settings: the settings of every engine. If the device is None, each worker gets a GPU where the cluster has GPUs.
        :param workers: the number of workers; None means one for each GPU, or one for each machine of a cluster without GPUs.
        :param address: the address of the cluster, e.g. "auto" or "ray://head:10001". None takes RAY_ADDRESS, else the cluster
            that runs on this machine, else starts a cluster on this machine.
        :raises ImportError: if Ray is not installed.
        :raises ConnectionError: if there is no cluster at the address.
        :raises ValueError: if the cluster has too few GPUs or cores for the workers, or as the engine's constructor does.
        """
        ray = _ray()
        self._disconnect = not ray.is_initialized()
        if self._disconnect:
            ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        try:
            count, options = _plan(ray, settings, workers)
            team = [RayWorker(ray, f"Ray worker {number}", settings, options) for number in range(count)]
            super().__init__(team)
        except BaseException:
            self._leave_cluster()
            raise

    def close(self) -> None:
        """End the actors. Leave the cluster, too, if this object connected to it."""
        super().close()
        self._leave_cluster()

    def _leave_cluster(self) -> None:
        if self._disconnect:
            _ray().shutdown()
            self._disconnect = False

    def __repr__(self) -> str:
        return f"RayEngines({self._facts.identity['model']!r}, workers={self.at_work!r}, width={self.width})"


class RayWorker:
    """A worker in an actor. A lost actor is started again; meanwhile the other workers do its jobs."""

    def __init__(self, ray: Any, name: str, settings: EncoderSettings, options: dict[str, Any]) -> None:
        """
        :param ray: the module ``ray``.
        :param name: the name of the worker in messages.
        :param settings: the settings of its engine.
        :param options: the resources that it needs, as arguments of ``ray.remote``.
        """
        self.name, self._ray, self._settings = name, ray, settings
        self._class = ray.remote(**options, max_concurrency=SLOTS)(Actor)
        self._lock = threading.Lock()
        self._closed = False
        self._left = REPLACEMENTS
        self._broken: Any = None
        self._replacement: Any = None
        self._actor = self._class.remote(settings, settings.token)

    def load(self) -> Facts:
        """See :class:`~bmretriever_integrations.parallel.dispatcher.Worker`."""
        facts: Facts = self._get(self._actor, self._actor.load.remote())
        return facts

    def do(self, queued: QueuedJob) -> Vectors:
        """See :class:`~bmretriever_integrations.parallel.dispatcher.Worker`."""
        actor = self._actor
        vectors: Vectors
        vectors, cut = self._get(actor, actor.run.remote(queued.job))
        queued.report(len(vectors))
        queued.count_cut(cut)
        return vectors

    def replace(self) -> bool:
        """See :class:`~bmretriever_integrations.parallel.dispatcher.Worker`. This waits until the cluster has free resources."""
        with self._lock:
            if self._actor is not self._broken:  # another thread has already replaced it
                return True
            while self._left > 0 and not self._closed:
                self._left -= 1
                actor = self._replacement = self._class.remote(self._settings, self._settings.token)
                try:
                    if self._closed:  # which may have come just before this actor was known
                        self._ray.kill(actor)
                    self._get(actor, actor.load.remote())
                except Exception:
                    self._broken = self._actor
                    continue
                self._actor = actor  # only now, because another thread would send it a job before it has an engine
                if self._closed:
                    self._ray.kill(actor)
                return not self._closed
            return False

    def close(self) -> None:
        """See :class:`~bmretriever_integrations.parallel.dispatcher.Worker`."""
        self._closed = True
        for actor in (self._actor, self._replacement):
            if actor is not None:
                self._ray.kill(actor)
        if self._lock.acquire(timeout=NOTICED):  # a thread that waits for the replacement must not see the cluster go
            self._lock.release()

    def _get(self, actor: Any, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise _plain(error, self.name) from None
        except self._ray.exceptions.RayError as error:  # the actor, its machine or a message was lost
            self._broken = actor
            raise WorkerLost(f"{self.name} ended: {_first_line(error)}") from None


class Actor:
    """The class that runs on the cluster. A method loads the model, because Ray would wrap an error of the constructor."""

    def __init__(self, settings: EncoderSettings, token: str | None) -> None:
        """
        :param settings: the settings of the engine.
        :param token: access token for the hub, which pickled settings do not hold.
        """
        self._settings = replace(settings, token=token)
        self._engine: WorkerEngine | None = None

    def load(self) -> Facts:
        """Load the engine."""
        warnings.simplefilter("ignore", CutTextWarning)  # the process that sends the jobs warns
        self._engine = WorkerEngine(self._settings)
        return self._engine.facts

    def run(self, job: Job) -> tuple[Vectors, int]:
        """
        Do a job.

        :param job: the texts to embed.
        :returns: the vectors, and the number of texts that were cut since the last job. *Shape:* (n, width) float32
        """
        if self._engine is None:
            raise RuntimeError("no engine was loaded")
        return self._engine.run(job, no_report), self._engine.take_cut()


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise ImportError(
            'Ray is not installed: pip install "bmretriever-integrations[ray]" (on every machine of the cluster)'
        ) from error


def _plan(ray: Any, settings: EncoderSettings, workers: int | None) -> tuple[int, dict[str, Any]]:
    """Choose the number of workers and the resources that each one needs."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = 0 if settings.device == "cpu" else int(sum(machine.get("GPU", 0) for machine in machines))
    if gpus:
        count = workers or gpus
        if count > gpus:
            raise ValueError(f"{count} workers need a GPU each, and the cluster has {gpus}: ask for {gpus} or fewer")
        return count, {"num_gpus": 1}
    cores = [int(machine.get("CPU", 0)) for machine in machines if machine.get("CPU", 0) >= 1]
    count = workers or len(cores)
    # the workers of a machine share its cores; Ray sets PyTorch's number of threads accordingly
    for each in range(max(cores, default=0), 0, -1):
        if sum(machine // each for machine in cores) >= count:
            return count, {"num_cpus": each}
    raise ValueError(f"{count} workers need a core each, and the cluster has {sum(cores)}: ask for fewer")


def _plain(error: Any, name: str) -> BaseException:
    cause = error.cause if isinstance(error.cause, BaseException) else RuntimeError(str(error))
    cause.add_note(f"Raised in {name}.")
    return cause


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".")
