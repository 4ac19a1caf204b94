"""Routes that are called before FastAPI looks at a request, because clients call them thousands of times a second."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bmretriever_integrations.serving.errors import ApiError

Endpoint = Callable[[Request], Awaitable[Response]]
"""Reads the body itself, and makes the whole answer."""


class QuickRoutes:
    """
    Calls the functions of some routes itself.

    What FastAPI does around such a function is a third of the work for a small request, and what Starlette does is a sixth.
    These routes have no need of it: they take nothing but the request. FastAPI has them too, for the pages about the routes and
    for other methods than POST.
    """

    def __init__(self, app: ASGIApp, routes: dict[str, Endpoint]) -> None:
        """
        :param app: what answers the other requests.
        :param routes: maps paths to functions.
        """
        self._app, self._routes = app, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        endpoint = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        scope["endpoint"], scope["path_params"] = endpoint, {}  # as Starlette notes what it calls
        try:
            response = await endpoint(Request(scope, receive, send))
        except ApiError as refusal:
            response = refusal.answer()
        await response(scope, receive, send)


def quick_routes(router: APIRouter, *paths: str) -> dict[str, Endpoint]:
    """
    Find the functions of some routes of FastAPI.

    :param router: the routes.
    :param paths: of those that are wanted, each of which must take POST.
    :returns: maps the paths to functions.
    :raises ValueError: if one of them is no such route.
    """
    found = {
        route.path: route.endpoint
        for route in router.routes
        if isinstance(route, APIRoute) and route.path in paths and "POST" in (route.methods or ())
    }
    if missing := set(paths).difference(found):
        raise ValueError(f"there is no route {sorted(missing)}")
    return found
