"""Routes that FastAPI describes and Starlette calls: the same answers, the same description, errors in the same form."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bmretriever_integrations.serving.quick_routes import quick_routes


def test_a_quick_route_is_called_by_starlette_and_described_by_fastapi(server):
    [route] = [
        route for route in server.server.config.app.router.routes if getattr(route, "path", "") == "/v1/embeddings"
    ]
    assert type(route) is Route
    assert "/v1/embeddings" in server.client.get("/openapi.json").json()["paths"]
    answer = server.client.post("/v1/embeddings", json={"model": "mini-query", "input": "aspirin"})
    assert answer.status_code == 200
    assert server.client.get("/v1/embeddings").status_code == 405


def test_a_path_without_a_route_is_refused():
    router = APIRouter()

    @router.post("/known")
    async def known(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.url.path)

    assert [route.path for route in quick_routes(router, "/known")] == ["/known"]
    with pytest.raises(ValueError, match="no route"):
        quick_routes(router, "/known", "/other")
