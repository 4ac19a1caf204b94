"""Answers requests that end in an error which is not the client's."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bmretriever_integrations.serving.errors import INTERNAL, ApiError
from bmretriever_integrations.serving.json_response import JsonResponse

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
        except Exception:
            if begun:  # the connection has to be closed, or the client would take what it has for the whole
                raise
            logger.exception("a request was not answered")
            await JsonResponse(ApiError(500, INTERNAL).body(), 500)(scope, receive, send)
