"""Bodies of requests are read whole, within bounds of size and time, before anything looks at them."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bmretriever_integrations.serving.errors import ApiError, overloaded
from bmretriever_integrations.serving.settings import Limits

AT_ONCE = 16
"""So many bodies of the largest size are held at the same time: 256 MiB with the default, however many connections there are."""


class Bodies:
    """Reads the body of a request, and hands it on in one piece."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        """
        :param app: what answers.
        :param limits: the bounds.
        """
        self._app, self._limits = app, limits
        self._held = 0
        """Bytes of bodies whose requests are not answered yet."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        if headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers:
            await self._app(scope, receive, send)
            return
        parts: list[bytes] = []
        try:
            try:
                self._check(headers)
                whole = await self._read(receive, parts)
            except ApiError as refusal:
                refusal.headers["Connection"] = "close"  # the rest of the body is not read
                await refusal.answer()(scope, receive, send)
                return
            if whole:
                parts[:] = [b"".join(parts)]
                await self._app(scope, given_first(parts[0], receive), send)
        finally:
            self._held -= sum(map(len, parts))

    def _check(self, headers: dict[bytes, bytes]) -> None:
        coding = headers.get(b"content-encoding", b"identity")
        if coding.strip().lower() != b"identity":
            message = f"the body has the Content-Encoding {coding.decode('latin-1')!r:.100}; send it as it is"
            raise ApiError(415, message, code="unsupported_encoding", headers={"Accept-Encoding": "identity"})
        if int(headers.get(b"content-length", 0)) > self._limits.body_bytes:
            raise self._too_large()

    async def _read(self, receive: Receive, parts: list[bytes]) -> bool:
        """Append the parts of the body to a list; say whether it is whole, which it is not if the client is gone."""
        size, more = 0, True
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return False
                    part, more = message.get("body", b""), message.get("more_body", False)
                    parts.append(part)
                    self._held += len(part)
                    size += len(part)
                    if size > self._limits.body_bytes:
                        raise self._too_large()
                    if self._held > AT_ONCE * self._limits.body_bytes:
                        raise overloaded("the server holds too many large requests", 1)
        except TimeoutError:
            late = f"the body did not arrive within {self._limits.body_seconds:g} s"
            raise ApiError(408, late, code="body_too_slow") from None
        return True

    def _too_large(self) -> ApiError:
        message = f"the body is larger than {self._limits.body_bytes:,} bytes: send the texts in several requests"
        return ApiError(413, message, code="body_too_large")


def given_first(body: bytes, receive: Receive) -> Receive:
    """
    Make a function that gives a body, and then what comes after it.

    :param body: the whole body of a request.
    :param receive: what gives the rest: that the client hung up.
    """
    message: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def receive_all() -> Message:
        nonlocal message
        if message is None:
            return await receive()
        given, message = message, None
        return given

    return receive_all
