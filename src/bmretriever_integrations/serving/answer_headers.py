"""Headers that every answer has: what a browser may do with it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""What an answer says that does not say it itself: it is data, no page, for nobody else, and is kept nowhere."""


class AnswerHeaders:
    """Adds :data:`HEADERS` to answers that do not have them."""

    def __init__(self, app: ASGIApp) -> None:
        """
        :param app: what answers.
        """
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name for name, _ in given}
                message = {**message, "headers": given + [each for each in HEADERS if each[0] not in names]}
            await send(message)

        await self._app(scope, receive, complete)
