"""Run a worker of this machine as a separate process, which gets requests on its standard input and replies on its output.

The process is started and not forked, because CUDA does not work after a fork. :mod:`multiprocessing` is not used, so a user's
script needs no ``if __name__ == "__main__"``, and a killed worker leaves no lock and no shared memory behind.
"""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.parallel.dispatcher import WorkerLost
from bmretriever_integrations.parallel.fair_queue import QueuedJob, no_report
from bmretriever_integrations.parallel.jobs import Facts, Progress
from bmretriever_integrations.parallel.messages import Embedded, Failed, Finished, Load, Reply, Request, Work
from bmretriever_integrations.parallel.shared_memory import shared_rows
from bmretriever_integrations.settings import EncoderSettings

QUOTED_CHARACTERS = 2000
"""The number of characters from the end of a lost worker's standard error that the error message quotes."""


class ProcessWorker:
    """A worker process with one engine."""

    def __init__(self, settings: EncoderSettings, sharers: int) -> None:
        """
        Start the process; :meth:`load` waits until its model is loaded.

        :param settings: the settings of the engine, with the device.
        :param sharers: the number of workers that share the machine's cores; 0 does not change PyTorch's number of threads.
        """
        self.name = str(settings.device)
        self._width = 0
        self._load_request = Load(settings, sharers, settings.token)
        self._numbers = itertools.count()
        self._lock = threading.Lock()  # protects the two attributes below
        self._end: str | None = None
        self._waiting: dict[int, SimpleQueue[Reply | None]] = {}
        self._writing = threading.Lock()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  it is open as long as the process runs
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bmretriever_integrations.parallel.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            **_without_ctrl_c(),
        )
        threading.Thread(target=self._listen, name="bmretriever-replies", daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def load(self) -> Facts:
        """See :class:`~bmretriever_integrations.parallel.dispatcher.Worker`."""
        facts = self._request(self._load_request, no_report).facts
        assert facts is not None  # a worker always sends them after a Load
        self._width = facts.width
        return facts

    def do(self, queued: QueuedJob) -> Vectors:
        """See :class:`~bmretriever_integrations.parallel.dispatcher.Worker`."""
        with shared_rows(queued.job.texts, self._width) as rows:
            vectors = rows.map()
            queued.count_cut(self._request(Work(queued.job, rows), queued.report).cut)
        return vectors

    def replace(self) -> bool:
        """Return False: the worker is not replaced, because a new one would most likely end for the same reason."""
        return False

    def close(self) -> None:
        """See :class:`~bmretriever_integrations.parallel.dispatcher.Worker`. The process has no data that must be saved."""
        self._process.kill()
        self._process.wait()

    def _request(self, request: Request, done: Progress) -> Finished:
        """Send a request, wait for its last reply, and return it."""
        replies: SimpleQueue[Reply | None] = SimpleQueue()
        number = next(self._numbers)
        with self._lock:
            if self._end is not None:
                raise WorkerLost(self._end)
            self._waiting[number] = replies
        content = pickle.dumps((number, request))
        try:
            with self._writing:
                self._process.stdin.write(content)  # type: ignore[union-attr]
                self._process.stdin.flush()  # type: ignore[union-attr]
        except (OSError, ValueError):  # the process has just ended or was closed; _listen then puts None into the queue
            pass
        while isinstance(reply := replies.get(), Embedded):
            done(reply.texts)
        if reply is None:
            raise WorkerLost(self._end)
        if isinstance(reply, Failed):
            raise reply.error
        return reply

    def _listen(self) -> None:
        """Give each reply to the thread that waits for it, until the process ends."""
        try:
            while True:
                number, reply = pickle.load(self._process.stdout)  # type: ignore[arg-type]
                with self._lock:
                    replies = self._waiting[number] if isinstance(reply, Embedded) else self._waiting.pop(number)
                replies.put(reply)
        except Exception:  # the process ended, perhaps in the middle of a reply; no caller may wait for ever
            self._process.kill()
        self._process.wait()
        with self._lock:
            self._end = self._describe_end()
            left = list(self._waiting.values())
            self._waiting.clear()
        for replies in left:
            replies.put(None)
        self._close_files()

    def _close_files(self) -> None:
        with self._writing, suppress(OSError):  # what the process did not read
            self._process.stdin.close()  # type: ignore[union-attr]
        self._process.stdout.close()  # type: ignore[union-attr]
        self._errors.close()

    def _describe_end(self) -> str:
        status = self._process.returncode
        how = f"with status {status}"
        if status < 0:
            how = f"by {signal.Signals(-status).name}"
            if -status == signal.SIGKILL:
                how += " (it was killed by a user, or by the kernel because memory ran out)"
        self._errors.seek(0)
        quoted = " ".join(self._errors.read().decode("utf-8", "replace")[-QUOTED_CHARACTERS:].split())
        return f"the worker on {self.name} (process {self.pid}) ended {how}{': ' + quoted if quoted else ''}"


def _without_ctrl_c() -> dict[str, Any]:
    """Keep Ctrl-C, which a terminal sends to all its processes, from the worker: the parent process ends it at a safe time."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}
