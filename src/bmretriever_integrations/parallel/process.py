"""A worker of this machine: a process of its own, spoken to over its standard input and output.

It is started afresh, not forked (CUDA does not survive a fork), and without :mod:`multiprocessing`, so a script needs no
``if __name__ == "__main__"`` around it, and a killed worker leaves no lock and no shared memory behind.
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
from bmretriever_integrations.parallel.messages import Embedded, Failed, Load, Reply, Request, Work
from bmretriever_integrations.parallel.shared_memory import shared_rows
from bmretriever_integrations.settings import EncoderSettings

LAST_WORDS = 2000
"""How many characters of a dead worker's standard error its message quotes."""


class ProcessWorker:
    """One process with one engine."""

    def __init__(self, settings: EncoderSettings, sharers: int) -> None:
        """
        Start the process; :meth:`load` waits for its model.

        :param settings: with the device.
        :param sharers: workers among which the machine's cores are shared out; 0 leaves PyTorch's threads as they are.
        """
        self.name = str(settings.device)
        self._width = 0
        self._order = Load(settings, sharers)
        self._numbers = itertools.count()
        self._lock = threading.Lock()  # of the two below
        self._end: str | None = None
        self._asking: dict[int, SimpleQueue[Reply | None]] = {}
        self._writing = threading.Lock()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bmretriever_integrations.parallel.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            **_out_of_reach_of_ctrl_c(),
        )
        threading.Thread(target=self._listen, name="bmretriever-answers", daemon=True).start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def load(self) -> Facts:
        """See :class:`~bmretriever_integrations.parallel.dispatcher.Worker`."""
        facts: Facts = self._ask(self._order, no_report)
        self._width = facts.width
        return facts

    def do(self, queued: QueuedJob) -> Vectors:
        """See :class:`~bmretriever_integrations.parallel.dispatcher.Worker`."""
        with shared_rows(queued.job.texts, self._width) as rows:
            vectors = rows.map()
            self._ask(Work(queued.job, rows), queued.report)
        return vectors

    def replace(self) -> bool:
        """Not replaced: what ended it would most likely end the next one, too."""
        return False

    def close(self) -> None:
        """See :class:`~bmretriever_integrations.parallel.dispatcher.Worker`; it keeps nothing that would have to be saved."""
        self._process.kill()
        self._process.wait()

    def _ask(self, question: Request, done: Progress) -> Any:
        answers: SimpleQueue[Reply | None] = SimpleQueue()
        number = next(self._numbers)
        with self._lock:
            if self._end is not None:
                raise WorkerLost(self._end)
            self._asking[number] = answers
        content = pickle.dumps((number, question))
        try:
            with self._writing:
                self._process.stdin.write(content)  # type: ignore[union-attr]
                self._process.stdin.flush()  # type: ignore[union-attr]
        except (OSError, ValueError):  # it has just ended, or was closed: the listener says so
            pass
        while isinstance(answer := answers.get(), Embedded):
            done(answer.texts)
        if answer is None:
            raise WorkerLost(self._end)
        if isinstance(answer, Failed):
            raise answer.error
        return answer.facts

    def _listen(self) -> None:
        try:
            while True:
                number, answer = pickle.load(self._process.stdout)  # type: ignore[arg-type]
                with self._lock:
                    asking = self._asking[number] if isinstance(answer, Embedded) else self._asking.pop(number)
                asking.put(answer)
        except Exception:  # it ended, perhaps in the middle of a reply; whatever it is, no caller may wait for ever
            self._process.kill()
        self._process.wait()
        with self._lock:
            self._end = self._last_words()
            left = list(self._asking.values())
            self._asking.clear()
        for asking in left:
            asking.put(None)
        self._close_files()

    def _close_files(self) -> None:
        with self._writing, suppress(OSError):  # what the process did not read
            self._process.stdin.close()  # type: ignore[union-attr]
        self._process.stdout.close()  # type: ignore[union-attr]
        self._errors.close()

    def _last_words(self) -> str:
        status = self._process.returncode
        how = f"with status {status}"
        if status < 0:
            how = f"by {signal.Signals(-status).name}"
            if -status == signal.SIGKILL:
                how += " (it was killed by a user, or by the kernel because memory ran out)"
        self._errors.seek(0)
        words = " ".join(self._errors.read().decode("utf-8", "replace")[-LAST_WORDS:].split())
        return f"the worker on {self.name} (process {self.pid}) ended {how}{': ' + words if words else ''}"


def _out_of_reach_of_ctrl_c() -> dict[str, Any]:
    """A terminal's Ctrl-C goes to all its processes; a worker is ended by its owner, who knows what is safe."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}
