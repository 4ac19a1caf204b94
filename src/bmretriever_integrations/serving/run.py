"""Runs the application on a port."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from bmretriever_integrations.serving.listening import listen, port_of
from bmretriever_integrations.serving.protocol import Protocol
from bmretriever_integrations.serving.settings import ServerSettings

logger = logging.getLogger(__name__)
SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what `kill`, systemd, Docker and Kubernetes send."""


GRACE_SECONDS = 5.0
"""
When the time for what was accepted is over, requests that wait are refused. A batch that is being embedded cannot be stopped: the
process ends without it after so many seconds more.
"""
KEEP_ALIVE_SECONDS = 75
"""An idle connection stays open for so long: longer than clients keep one (nginx: 60 s), so that none sends into a closed one."""


class Server(uvicorn.Server):
    """A server that tells its address, and that stops as its users expect."""

    def __init__(
        self, config: uvicorn.Config, sockets: Sequence[socket.socket], on_ready: Callable[[Server], object]
    ) -> None:
        """
        :param config: uvicorn's settings.
        :param sockets: where it listens; the server closes them.
        :param on_ready: is called once it listens.
        """
        super().__init__(config)
        self._listening, self._on_ready = list(sockets), on_ready

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return port_of(self._listening)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """
        Serve until the process is told to stop, and finish what was accepted.

        :param sockets: where it listens; None takes those that it was made with.
        """
        super().run(sockets or self._listening)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """
        Begin to listen.

        :param sockets: where.
        """
        await super().startup(sockets)
        if self.started:
            self._on_ready(self)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal. uvicorn sends it to its own process again in the end, which would not end with status 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """
        Begin to stop; a second signal ends the process at once, whatever it is doing.

        :param sig: the signal.
        :param frame: where it came.
        """
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        super().handle_exit(sig, frame)
        give_up = threading.Timer((self.config.timeout_graceful_shutdown or 0) + GRACE_SECONDS, _give_up)
        give_up.daemon = True
        give_up.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """
        Finish what was accepted.

        :param sockets: where the server listens.
        """
        logger.info("Stopping: what was accepted is finished; a second signal ends the server at once")
        await super().shutdown(sockets)


def server_of(
    app: FastAPI,
    settings: ServerSettings,
    sockets: Sequence[socket.socket] | None = None,
    on_ready: Callable[[Server], object] = lambda _server: None,
) -> Server:
    """
    Make a server; ``run()`` runs it until it is told to stop.

    :param app: the application.
    :param settings: where it listens.
    :param sockets: sockets that ``listen`` gave; None makes them now.
    :param on_ready: is called with the server once it listens.
    """
    limits = settings.limits
    metrics = getattr(app.state, "metrics", None)  # an application of somebody else has none
    counted = {} if metrics is None else {"on_refusal": metrics.refused}
    protocol: Any = partial(Protocol, limits=limits, **counted)
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(limits.stop_seconds),
    )
    return Server(config, listen(settings.host, settings.port) if sockets is None else sockets, on_ready)


def _give_up() -> None:
    logger.error("The server did not stop in time: it ends without what it was doing")
    os._exit(1)
