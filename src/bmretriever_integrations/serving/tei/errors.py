"""Errors in the form of text-embeddings-inference."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from bmretriever_integrations.serving.errors import INTERNAL, ApiError
from bmretriever_integrations.serving.json_response import JsonResponse

logger = logging.getLogger(__name__)

TYPES = {400: "Validation", 413: "Validation", 422: "Validation", 503: "Overloaded"}
"""Maps a status to the name of its error."""
OTHER = "Backend"
"""The name of every other error."""
UNPROCESSABLE = 422
"""The status of a body that is JSON and not what it must be."""


class TeiRoute(APIRoute):
    """A route whose refusals have that form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except ApiError as error:
                status = UNPROCESSABLE if error.status == 400 and error.code != "invalid_json" else error.status
                kind = TYPES.get(status, OTHER)
                return JsonResponse({"error": error.message, "error_type": kind}, status, error.headers)
            except Exception:
                logger.exception("a request was not answered")
                return JsonResponse({"error": INTERNAL, "error_type": OTHER}, 500)

        return handler
