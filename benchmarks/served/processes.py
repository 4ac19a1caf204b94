"""Servers and clients as processes of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

STARTS_WITHIN = 120.0
"""Seconds."""


@dataclass(frozen=True)
class Answers:
    """What a process of clients got."""

    seconds: float
    statuses: Mapping[str, int]
    milliseconds: Sequence[float]
    contents: Sequence[bytes]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.contents) / self.seconds


@contextmanager
def server(command: Sequence[str], log: Path, variables: Mapping[str, str] | None = None) -> Iterator[str]:
    """
    Run a server while the block is running.

    :param command: of Python, with ``{port}`` where the port stands.
    :param log: is written.
    :param variables: of its environment, beside those of this process.
    :returns: host and port.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, *(word.format(port=port) for word in command)]
    with (
        log.open("wb") as lines,
        subprocess.Popen(words, stdout=lines, stderr=lines, env={**os.environ, **(variables or {})}) as process,
    ):
        try:
            _wait(process, port, log)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < end and process.poll() is None:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/openapi.json")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"a server did not start: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


def send(address: str, path: str, bodies: Sequence[Mapping[str, Any]], clients: int, work: Path) -> Answers:
    """
    Let a process send requests.

    :param address: host and port of the server.
    :param path: of the route.
    :param bodies: of the requests.
    :param clients: connections, each of which sends its next request when the last one was answered.
    :param work: a folder for the bodies and the answers.
    """
    sent, got = work / "bodies.jsonl", work / "answers.jsonl"
    sent.write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")
    command = ["-m", "benchmarks.served.load", address, path, str(sent), str(got), "--clients", str(clients)]
    done = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, text=True, check=True)
    return Answers(**json.loads(done.stdout), contents=got.read_bytes().splitlines())
