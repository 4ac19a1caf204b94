"""A worker process: ``python -m bmretriever_integrations.parallel.worker``, started by :mod:`.process`, never by hand.

The main thread only listens, so that the process ends at once when its owner does, whatever the engine is doing; a pipe
breaks however the owner ends, even by SIGKILL.
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
    """Does what it is asked, several things at once, and answers each under its number."""

    def __init__(self, answers: IO[bytes]) -> None:
        """
        :param answers: where the owner listens.
        """
        self._answers, self._writing = answers, threading.Lock()
        self._engine: WorkerEngine | None = None
        self._device: torch.device | None = None
        self._name = "?"

    def handle(self, number: int, question: Request) -> None:
        """
        Reply one question, whatever happens.

        :param number: of the question.
        :param question: what to do.
        """
        try:
            answer: Reply = self._load(question) if isinstance(question, Load) else self._work(number, question)
        except BaseException as error:
            answer = Failed(portable(error, self._name))
        self._say(number, answer)

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
        work.rows.map()[:] = self._engine.run(work.job, lambda texts: self._say(number, Embedded(texts)))
        return Finished()

    def _enter_device(self) -> None:
        """Make it this thread's; else what names no device would make a context of its own on the first GPU."""
        if self._device is not None and self._device.type == "cuda":
            import torch

            torch.cuda.set_device(self._device)

    def _say(self, number: int, answer: Reply) -> None:
        with self._writing:
            pickle.dump((number, answer), self._answers)
            self._answers.flush()


def main() -> None:
    """Listen until the owner hangs up."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    server = Server(answers)
    slots = ThreadPoolExecutor(SLOTS)
    while True:
        try:
            number, question = pickle.load(sys.stdin.buffer)
        except (EOFError, pickle.UnpicklingError):  # the owner is gone, perhaps in the middle of a word
            os._exit(0)
        slots.submit(server.handle, number, question)


if __name__ == "__main__":
    main()
