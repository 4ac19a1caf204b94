"""Reads requests as uvicorn does, within bounds of time and size, and refuses what is no request in the form of other errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from bmretriever_integrations.serving.answer_headers import HEADERS
from bmretriever_integrations.serving.errors import ApiError, overloaded
from bmretriever_integrations.serving.lingering import LingeringTransport
from bmretriever_integrations.serving.settings import Limits
from bmretriever_integrations.serving.upgrades import BodyAfterUpgrade

HEAD_BYTES = 32 * 1024
"""Bytes of the head of a request: those of nginx's four ``large_client_header_buffers``."""
HALF_CLOSED_SECONDS = 0.25
"""
A client that says within this time after its request that it sends nothing more waits for the answer, as scripts with ``nc`` do.

Later, it has hung up: whoever closes a connection says the same, and only the time tells which of the two it was.
"""
LAST_SECONDS = 0.25
"""When the server stops, a client that has just got an answer has its next request on its way: it is waited for so long."""
REFUSED_AT_ONCE = 2
"""Beyond so many times the connections that are taken, further ones are closed without a word."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Limits,
        on_refusal: Callable[[int], object] = lambda _status: None,
    ) -> None:
        """
        :param config: what uvicorn gives.
        :param server_state: what uvicorn gives.
        :param app_state: what uvicorn gives.
        :param limits: the bounds.
        :param on_refusal: is called with the status of each answer that is given here and not by the application.
        """
        super().__init__(config, server_state, app_state, _loop)
        self._limits, self._on_refusal = limits, on_refusal
        self.parser: BodyAfterUpgrade = BodyAfterUpgrade(self, lambda: self.headers)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
        self._line: LingeringTransport
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread = 0
        """Bytes of the request that is being read."""
        self._asked = 0.0
        """When the last request was read to its end."""
        self._is_last = False
        """Whether the server stops, and closes the connection after the next answer."""
        self._in_body = False
        """Whether the head of a request was read, and its body is not there yet."""
        self._deaf = False
        """Whether something that is no request came after one: nothing more is read, and the one is answered."""
        self.url, self.headers = b"", []  # uvicorn sets them when a request begins

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """
        Begin to wait for a request.

        :param transport: the connection.
        """
        self._line = LingeringTransport(transport, self.loop, self._limits.stall_seconds)
        self._line.more_to_come = True
        super().connection_made(self._line)
        most = self._limits.connections
        if len(self.connections) > REFUSED_AT_ONCE * most:
            self._line.abort()
        elif len(self.connections) > most:
            self._refuse(overloaded(f"{most:,} connections are open already", 1))
        else:
            self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """
        Tell the application.

        :param exc: why; None if one side closed it.
        """
        self._stop_head_timer()
        self._line.stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """
        Read a part of a request, or several.

        :param data: what came.
        """
        if self._line.lingering:
            self._line.hear()
            return
        if self._deaf:
            return
        super().data_received(data)
        if self.transport.is_closing() or (self._answering and not self._line.more_to_come):
            return
        self._unread += len(data)
        if self._unread > HEAD_BYTES + (2 * self._limits.body_bytes if self._in_body else 0):
            self._refuse_size()
        elif self._head_timer is None and not self._answering:
            self._time_head()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio lets it say that the connection stays
        """Keep the connection of a client that has sent its request and waits for the answer."""
        soon = self.loop.time() - self._asked < HALF_CLOSED_SECONDS
        if soon and self._answering and not self._line.more_to_come and not self._line.lingering:
            self.cycle.keep_alive = False
            return True
        self._line.watch()
        return False

    def shutdown(self) -> None:
        """Finish the answer; where none is due, wait a moment for a request that is on its way, and answer it."""
        self._is_last = True
        if self._line.lingering:
            self._line.close()
        elif self._answering:
            super().shutdown()
        else:
            self.loop.call_later(LAST_SECONDS, self._close_idle)

    def _close_idle(self) -> None:
        if not self._answering:
            self._line.more_to_come = False
            self._line.close()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._line.watch()

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        if self.parser.repeats:
            return
        self._unread, self._in_body, self._line.more_to_come = 0, False, True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """
        Note a part of the address.

        :param url: the part.
        """
        if not self.parser.repeats:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """
        Note a header.

        :param name: its name.
        :param value: its value.
        """
        if not self.parser.repeats:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request to the application; its body may still have to come."""
        if self.parser.repeats:
            self.parser.repeats, self.headers = False, []
            return
        if self._head_size() > HEAD_BYTES:
            raise ValueError("the head is too large")  # the parser stops, and send_400_response is called
        super().on_headers_complete()
        if self._is_last:
            self.cycle.keep_alive = False
        self._stop_head_timer()
        self._in_body = True
        if not self.parser.should_upgrade():
            self.headers = []  # what follows a body in chunks is no part of the head

    def on_message_complete(self) -> None:
        """Note that the request is there."""
        if self.parser.should_upgrade():  # its body comes after the second head
            return
        self._unread, self._in_body, self._line.more_to_come = 0, False, False
        self._asked = self.loop.time()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # the answer has its own words
        """
        Refuse what is no request.

        :param msg: uvicorn's words for it.
        """
        if self._head_size() > HEAD_BYTES:
            self._refuse_size()
        else:
            self._refuse(ApiError(400, "this is no request of HTTP/1.1 that is understood", code="invalid_http"))

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _refuse_size(self) -> None:
        if self._in_body:
            refusal = ApiError(413, "the body has far more bytes than its content", code="body_too_large")
        else:
            message = f"the first line and the headers have more than {HEAD_BYTES:,} bytes"
            refusal = ApiError(431, message, code="head_too_large")
        self._refuse(refusal)

    def _time_head(self) -> None:
        self._head_timer = self.loop.call_later(self._limits.header_seconds, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        message = f"no request arrived within {self._limits.header_seconds:g} s"
        self._refuse(ApiError(408, message, code="request_too_slow"))

    def _refuse(self, refusal: ApiError) -> None:
        """Answer in place of the application, and close the connection; first finish the answers before that one."""
        self._stop_head_timer()
        if self.pipeline or (self._answering and not self._in_body):
            self._deaf = self._line.more_to_come = True
            self.cycle.keep_alive = False
            return
        if self.transport.is_closing():
            return
        self._on_refusal(refusal.status)
        answer = refusal.answer()
        lines = [*self.server_state.default_headers, *answer.raw_headers, *HEADERS, (b"connection", b"close")]
        head = b"".join(b"%s: %s\r\n" % line for line in lines)
        phrase = HTTPStatus(refusal.status).phrase
        self.transport.write(f"HTTP/1.1 {refusal.status} {phrase}\r\n".encode() + head + b"\r\n" + bytes(answer.body))
        self.transport.close()
