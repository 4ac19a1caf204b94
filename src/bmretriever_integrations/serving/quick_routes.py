"""Routes that Starlette calls by itself, because clients call them thousands of times a second."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import Route


def quick_routes(router: APIRouter, *paths: str) -> list[Route]:
    """
    Make plain routes of some routes of FastAPI, to be put before these, which stay for the pages about the routes.

    FastAPI's own handling of a request takes a third of the time of a small one. These routes have no need of it: they read their
    bodies and write their answers themselves, and take nothing but the request.

    :param router: the routes.
    :param paths: of the routes that are made.
    :raises ValueError: if one of them is no route.
    """
    made = [
        Route(route.path, route.endpoint, methods=sorted(route.methods or ()), name=route.name)
        for route in router.routes
        if isinstance(route, APIRoute) and route.path in paths
    ]
    if missing := set(paths).difference(route.path for route in made):
        raise ValueError(f"there is no route {sorted(missing)}")
    return made
