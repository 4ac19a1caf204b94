"""Reads requests that ask to speak another protocol, as the client of Java does in each of its first ones."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

import httptools

FRAMING = (b"content-length", b"transfer-encoding")
"""Headers that say how long a body is."""


class BodyAfterUpgrade(httptools.HttpRequestParser):
    """
    A parser that reads the body of a request with the header ``Upgrade``.

    A server may overlook that header and answer as usual. But httptools takes what comes after the head for the other protocol.
    So here the parser is given a second head, of which the protocol hears nothing, and then the rest.
    """

    def __init__(self, protocol: object, headers: Callable[[], Sequence[tuple[bytes, bytes]]]) -> None:
        """
        :param protocol: hears what is read.
        :param headers: returns those of the request that was read last.
        """
        super().__init__(protocol)
        self._headers = headers
        self.repeats = False
        """Whether the second head is read."""

    def feed_data(self, data: bytes | bytearray | memoryview | array[int]) -> None:
        """
        Read a part of a request, or several requests.

        :param data: what came.
        """
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as found:
            lines = [b"%s: %s\r\n" % header for header in self._headers() if header[0] in FRAMING]
            self.repeats = True
            super().feed_data(b"POST / HTTP/1.1\r\n" + b"".join(lines) + b"\r\n")
            if rest := data[found.args[0] :]:
                self.feed_data(rest)
