"""Run a worker process: ``python -m bmretriever_integrations.parallel.worker``. Only :mod:`.process` starts it.

The main thread only reads requests. When the parent process ends, even by SIGKILL, the pipe closes and the main thread ends the
worker at once, also while the engine computes.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from bmretriever_integrations.encoder.cut_texts import CutTextWarning
from bmretriever_integrations.parallel.dispatcher import SLOTS
from bmretriever_integrations.parallel.messages import (
    Embedded,
    Failed,
    Finished,
    Load,
    Reply,
    Request,
    Work,
    portable,
)
from bmretriever_integrations.parallel.worker_engine import WorkerEngine

if TYPE_CHECKING:
    import torch


class Server:
    """Handles requests, several at a time. A reply has the number of its request."""

    def __init__(self, replies: IO[bytes]) -> None:
        """
        :param replies: the stream to the parent process.
        """
        self._replies, self._writing = replies, threading.Lock()
        self._engine: WorkerEngine | None = None
        self._device: torch.device | None = None
        self._name = "?"

    def handle(self, number: int, request: Request) -> None:
        """
        Handle one request and reply to it. If it raises an error, the reply contains the error.

        :param number: the number of the request.
        :param request: the request.
        """
        try:
            reply: Reply = self._load(request) if isinstance(request, Load) else self._work(number, request)
        except BaseException as error:
            reply = Failed(portable(error, self._name))
        self._send(number, reply)

    def _load(self, request: Load) -> Finished:
        self._name = str(request.settings.device)
        import torch

        from bmretriever_integrations.device import keep_freed_memory, resolve_device

        self._device = resolve_device(request.settings.device)
        keep_freed_memory()  # allowed here, because this process belongs to the package
        if request.sharers:
            torch.set_num_threads(max(1, torch.get_num_threads() // request.sharers))
        self._enter_device()
        self._engine = WorkerEngine(replace(request.settings, token=request.token))
        return Finished(self._engine.facts)

    def _work(self, number: int, work: Work) -> Finished:
        if self._engine is None:
            raise RuntimeError("no engine was loaded")
        self._enter_device()
        work.rows.map()[:] = self._engine.run(work.job, lambda texts: self._send(number, Embedded(texts)))
        return Finished(cut=self._engine.take_cut())

    def _enter_device(self) -> None:
        """Make the device current in this thread; else code that names no device would create a CUDA context on the first GPU."""
        if self._device is not None and self._device.type == "cuda":
            import torch

            torch.cuda.set_device(self._device)

    def _send(self, number: int, reply: Reply) -> None:
        with self._writing:
            pickle.dump((number, reply), self._replies)
            self._replies.flush()


def main() -> None:
    """Read requests until the parent closes the pipe."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # print goes to standard error, because a library's output must not mix with the replies
    server = Server(replies)
    warnings.simplefilter("ignore", CutTextWarning)  # the parent process warns
    threads = ThreadPoolExecutor(SLOTS)
    while True:
        try:
            number, request = pickle.load(sys.stdin.buffer)
        except (EOFError, pickle.UnpicklingError):  # the parent has ended, perhaps in the middle of a message
            os._exit(0)
        threads.submit(server.handle, number, request)


if __name__ == "__main__":
    main()
