"""A worker process: ``python -m bmretriever_integrations.parallel.worker``, started by :mod:`.process`, never by hand.

The main thread only reads requests, so the process ends as soon as its parent does, whatever the engine is doing: the pipe closes
however the parent ends, even by SIGKILL.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING

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
    """Does requests, several at a time, and replies to each under its number."""

    def __init__(self, replies: IO[bytes]) -> None:
        """
        :param replies: stream to the parent process.
        """
        self._replies, self._writing = replies, threading.Lock()
        self._engine: WorkerEngine | None = None
        self._device: torch.device | None = None
        self._name = "?"

    def handle(self, number: int, request: Request) -> None:
        """
        Reply to one request, with its error if it raises one.

        :param number: the number of the request.
        :param request: what to do.
        """
        try:
            reply: Reply = self._load(request) if isinstance(request, Load) else self._work(number, request)
        except BaseException as error:
            reply = Failed(portable(error, self._name))
        self._send(number, reply)

    def _load(self, order: Load) -> Finished:
        self._name = str(order.settings.device)
        import torch

        from bmretriever_integrations.device import keep_freed_memory, resolve_device

        self._device = resolve_device(order.settings.device)
        keep_freed_memory()  # this process is ours
        if order.sharers:
            torch.set_num_threads(max(1, torch.get_num_threads() // order.sharers))
        self._enter_device()
        self._engine = WorkerEngine(order.settings)
        return Finished(self._engine.facts)

    def _work(self, number: int, work: Work) -> Finished:
        if self._engine is None:
            raise RuntimeError("no engine was loaded")
        self._enter_device()
        work.rows.map()[:] = self._engine.run(work.job, lambda texts: self._send(number, Embedded(texts)))
        return Finished()

    def _enter_device(self) -> None:
        """Make the device this thread's default; else code that names no device would start a CUDA context on the first GPU."""
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
    os.dup2(2, 1)  # what a library prints must not get between the replies
    server = Server(replies)
    threads = ThreadPoolExecutor(SLOTS)
    while True:
        try:
            number, request = pickle.load(sys.stdin.buffer)
        except (EOFError, pickle.UnpicklingError):  # the parent is gone, perhaps in the middle of a message
            os._exit(0)
        threads.submit(server.handle, number, request)


if __name__ == "__main__":
    main()
