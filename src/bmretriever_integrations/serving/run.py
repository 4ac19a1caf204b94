"""Runs the application on a port."""

from __future__ import annotations

import errno
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

from bmretriever_integrations.serving.protocol import Protocol
from bmretriever_integrations.serving.settings import ServerSettings

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what `kill`, systemd, Docker and Kubernetes send."""


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
    :param sockets: sockets that :func:`listen` gave; None makes them now.
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


def listen(host: str, port: int) -> list[socket.socket]:
    """
    Take a port. Connections are accepted later, when the server starts.

    :param host: a name or an address of this machine; a name may have several.
    :param port: 0 lets the system choose one.
    :returns: a socket for each address.
    :raises ValueError: if ``host`` is not known.
    :raises OSError: if the port cannot be taken; the message says why.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise ValueError(f"--host: {host!r} is no name or address of this machine ({error})") from None
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            sockets.append(socket.socket(family, kind, protocol))
            _bind(sockets[-1], address, port or (port_of(sockets[:1]) if len(sockets) > 1 else 0))
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets


def port_of(sockets: Sequence[socket.socket]) -> int:
    """
    Return the port of sockets that :func:`listen` gave.

    :param sockets: the sockets.
    """
    return int(sockets[0].getsockname()[1])


def _bind(taken: socket.socket, address: Any, port: int) -> None:
    if os.name == "posix":  # elsewhere two programs could listen on one port
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if taken.family == socket.AF_INET6:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        taken.bind((address[0], port, *address[2:]))
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: "another program listens there; choose another port with --port",
            errno.EACCES: "ports below 1024 are for privileged users; choose another one with --port",
            errno.EADDRNOTAVAIL: "this machine has no such address; choose another one with --host",
        }
        reason = reasons.get(error.errno or 0, error.strerror)
        raise OSError(error.errno, f"cannot listen on {address[0]}, port {port}: {reason}") from None
