"""The tools over HTTP, at ``/mcp``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import INVALID_REQUEST, jsonrpc_message_adapter
from pydantic import ValidationError
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bmretriever_integrations.serving.agents.server import server_of
from bmretriever_integrations.serving.bodies import given_first
from bmretriever_integrations.serving.json_response import JsonResponse
from bmretriever_integrations.serving.search import Searcher

PATH = "/mcp"
NO_MESSAGE = {
    "jsonrpc": "2.0",
    "id": None,
    "error": {"code": INVALID_REQUEST, "message": "the body is no message of JSON-RPC 2.0"},
}
"""The answer to what is no message."""


class AgentsEndpoint:
    """
    Answers each request by itself, in JSON: nothing of a client is kept, and no connection is held open for it.

    Who may ask, and under which names of this server, is checked for all routes before; so the SDK's own check is off.
    """

    def __init__(self, searcher: Searcher) -> None:
        """
        :param searcher: the index.
        """

        async def opened() -> Searcher:
            return searcher

        self._server = server_of(opened)
        self._manager: StreamableHTTPSessionManager | None = None

    @property
    def route(self) -> Route:
        """The route; there is no stream to be fetched by GET and no session to be deleted."""
        return Route(PATH, self, methods=["POST"])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests within the block."""
        self._manager = StreamableHTTPSessionManager(self._server, json_response=True, stateless=True)
        async with self._manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; its body was read whole."""
        assert self._manager is not None
        body = (await receive()).get("body", b"")
        try:
            jsonrpc_message_adapter.validate_json(body, by_name=False)
        except ValidationError:  # the SDK's own message tells of pydantic and its version
            await JsonResponse(NO_MESSAGE, 400)(scope, receive, send)
            return
        await self._manager.handle_request(scope, given_first(body, receive), send)
