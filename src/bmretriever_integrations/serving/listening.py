"""Takes a port, or says why it cannot be taken."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Any


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
        raise OSError(f"cannot listen on {address[0]}, port {port}: {reason}") from None
