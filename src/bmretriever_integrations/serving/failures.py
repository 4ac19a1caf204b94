"""Answers requests that end in an error which is not the client's."""

from __future__ import annotations

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bmretriever_integrations.serving.asked import route_of
from bmretriever_integrations.serving.errors import INTERNAL, ApiError

logger = logging.getLogger(__name__)


class FailuresAnswered:
    """
    Writes such an error into the log and tells the client only that there was one.

    Starlette's own handler raises the error again after its answer. Then uvicorn closes the connection, on which a client may
    have sent its next request.
    """

    def __init__(self, app: ASGIApp) -> None:
        """
        :param app: the application inside.
        """
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:  # the server stops, and the time for what it has accepted is over
            if begun:
                raise
            message = "the server stops and could not finish this request"
            await ApiError(503, message, code="stopping", headers={"Connection": "close"}).answer()(
                scope, receive, send
            )
        except Exception:
            if begun:  # the connection has to be closed, or the client would take what it has for the whole
                raise
            logger.exception("%s %s was not answered", scope["method"], route_of(scope))
            await ApiError(500, INTERNAL).answer()(scope, receive, send)
