"""
One writer at a time where there are no locks: a row of a small LanceDB table says who writes, and until when.

LanceDB commits with a put that the store refuses if another one was faster, and an update that lost is tried again on what the
winner wrote. So of two processes that take a free lease at once, one gets it. A process that was killed keeps it until it ends.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

from bmretriever_integrations.index.places.database import connect
from bmretriever_integrations.index.places.place import Place

TABLE = "lock"
FILES = f"{TABLE}.lance"
"""The folder of the table inside an index."""
SECONDS = 300.0
"""A lease lasts so long, if it is not renewed. The clocks of the machines should differ by less than a tenth of it."""
TRIM_EVERY = 30
"""Renewals after which the old versions of the table are deleted."""
KEPT_VERSIONS = timedelta(hours=1)


class Lease:
    """The right of this process to write, renewed in a thread."""

    def __init__(self, place: Place) -> None:
        """
        :param place: the index.
        """
        self._place, self._token, self._until = place, uuid.uuid4().hex, 0.0
        self._table: Any = None
        self._ended = Event()
        self._thread = Thread(target=self._keep, name="bmretriever-lease", daemon=True)

    def take(self) -> None:
        """
        Take the lease.

        :raises BlockingIOError: if another process has it; says which, and until when.
        """
        self._table, now = self._opened(), time.time()
        if not self._is_free(now) or not self._write(f"until <= {now}", now + SECONDS):
            raise BlockingIOError(self._refusal())
        self._thread.start()

    def check(self) -> None:
        """
        Refuse to go on when the lease is about to end, for then another process may have it.

        :raises BlockingIOError: if so.
        """
        if time.time() > self._until - SECONDS / 10:
            raise BlockingIOError(
                f"this process could not keep its right to write to {self._place}, because the store did not answer or the "
                "machine slept; another one may write now. What was committed is safe; run the same command again"
            )

    def give_back(self) -> None:
        """Let another process write."""
        self._ended.set()
        self._thread.join()
        with suppress(Exception):  # what is not given back ends by itself
            self._table.optimize(cleanup_older_than=KEPT_VERSIONS)
            self._write(f"token = '{self._token}'", 0.0)

    def _opened(self) -> Any:
        database = connect(self._place)
        with suppress(ValueError):  # there is none yet
            return database.open_table(TABLE)
        with suppress(ValueError):  # another process made it at the same moment
            return database.create_table(TABLE, [{"token": "", "name": "", "until": 0.0}])
        return database.open_table(TABLE)

    def _is_free(self, now: float) -> bool:
        return all(row["until"] <= now for row in self._table.to_arrow().to_pylist())

    def _write(self, condition: str, until: float) -> bool:
        """Write the row if the condition is true of it, in one commit."""
        name = f"{socket.gethostname()}, process {os.getpid()}"
        values = {"token": self._token, "name": name, "until": until}
        if not self._table.update(where=condition, values=values).rows_updated:
            return False
        self._until = until
        return True

    def _keep(self) -> None:
        renewals = 0
        while not self._ended.wait(SECONDS / 5):
            with suppress(Exception):  # tried again as long as the lease lasts; then check() refuses
                if not self._write(f"token = '{self._token}'", time.time() + SECONDS):
                    self._until = 0.0  # another process took it after it had ended
                    return
                renewals += 1
                if renewals % TRIM_EVERY == 0:
                    self._table.optimize(cleanup_older_than=KEPT_VERSIONS)

    def _refusal(self) -> str:
        (row,) = self._table.to_arrow().to_pylist()
        until = datetime.fromtimestamp(row["until"], UTC)
        return (
            f"{self._place} is being written by another process ({row['name']}); wait for its end. If it was killed, run the "
            f"same command again after {until:%H:%M:%S} UTC"
        )
