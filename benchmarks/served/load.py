"""
Sends requests over connections that stay open, and notes what comes back. Run as a process of its own, beside the server's.

    python -m benchmarks.served.load 127.0.0.1:8080 /v1/embeddings bodies.jsonl answers.jsonl --clients 32

Each client sends its next request when its last one was answered. Nothing is read out of an answer while time is measured, so
that one core serves thousands of requests a second. Prints one line of JSON: seconds, statuses, milliseconds of each request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length:"


class Load:
    """Requests that are left, and the answers to those that were sent."""

    def __init__(self, host: str, path: str, bodies: Sequence[bytes]) -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "
        self.requests = [head.encode() + str(len(body)).encode() + END_OF_HEAD + body for body in bodies]
        self.answers: list[bytes | None] = [None] * len(bodies)
        self.milliseconds = [0.0] * len(bodies)
        self.statuses: Counter[str] = Counter()
        self.next = 0


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: Load, done: asyncio.Future[None]) -> None:
        self._load, self._done = load, done
        self._read = bytearray()
        self._number, self._sent = -1, 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Collect an answer, and send the next request when it is whole."""
        self._read += data
        end = self._read.find(END_OF_HEAD)
        if end < 0:
            return
        head = bytes(self._read[:end])
        at = head.lower().index(LENGTH) + len(LENGTH)
        whole = end + len(END_OF_HEAD) + int(head[at:].split(b"\r\n", 1)[0])
        if len(self._read) < whole:
            return
        load = self._load
        load.milliseconds[self._number] = 1000 * (time.perf_counter() - self._sent)
        load.statuses[head.split(b" ", 2)[1].decode()] += 1
        load.answers[self._number] = bytes(self._read[end + len(END_OF_HEAD) : whole])
        del self._read[:whole]
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that ends before its answer is an error."""
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        load = self._load
        if load.next == len(load.requests):
            self._done.set_result(None)
            self._transport.close()
            return
        self._number, load.next = load.next, load.next + 1
        self._sent = time.perf_counter()
        self._transport.write(load.requests[self._number])


async def send(address: str, path: str, bodies: Sequence[bytes], clients: int) -> tuple[Load, float]:
    """
    Send all requests.

    :param address: host and port.
    :param path: of the route.
    :param bodies: of the requests.
    :param clients: connections.
    :returns: the answers, and the seconds from the first request to the last answer.
    """
    loop, load = asyncio.get_running_loop(), Load(address, path, bodies)
    host, port = address.rsplit(":", 1)
    begun = time.perf_counter()
    ends = [loop.create_future() for _ in range(clients)]
    for end in ends:
        await loop.create_connection(lambda end=end: Client(load, end), host, int(port))
    await asyncio.gather(*ends)
    return load, time.perf_counter() - begun


def main() -> None:
    """Read the arguments, send the requests, write the answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("path")
    parser.add_argument("bodies", type=Path, help="JSON lines")
    parser.add_argument("answers", type=Path, help="is written: JSON lines in the order of the bodies")
    parser.add_argument("--clients", type=int, default=32, help="default: %(default)s")
    arguments = parser.parse_args()
    bodies = arguments.bodies.read_bytes().splitlines()
    with asyncio.Runner(loop_factory=_loop()) as runner:
        load, seconds = runner.run(send(arguments.address, arguments.path, bodies, arguments.clients))
    arguments.answers.write_bytes(b"".join((answer or b"null") + b"\n" for answer in load.answers))
    print(json.dumps({"seconds": seconds, "statuses": load.statuses, "milliseconds": load.milliseconds}))


def _loop() -> object:
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
