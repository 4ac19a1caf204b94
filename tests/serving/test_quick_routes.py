"""Routes that are called before FastAPI looks at a request: the same answers, the same description, errors in the same form."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from bmretriever_integrations.serving.errors import ApiError
from bmretriever_integrations.serving.quick_routes import QuickRoutes, quick_routes


def routes_of(called):
    router = APIRouter()

    @router.post("/known")
    async def known(request: Request) -> PlainTextResponse:
        called.append(request.scope.get("route"))
        if (body := await request.body()) == b"refuse":
            raise ApiError(418, "not this", code="teapot")
        return PlainTextResponse(body)

    @router.get("/read")
    async def read() -> PlainTextResponse:
        return PlainTextResponse("read")

    return router


def test_a_quick_route_is_called_without_fastapi_and_described_by_it():
    called = []
    app = FastAPI()
    app.include_router(router := routes_of(called))
    app.add_middleware(QuickRoutes, routes=quick_routes(router, "/known"))
    client = TestClient(app)
    assert client.post("/known", content="a body").text == "a body"
    assert called == [None]  # else FastAPI's route would be noted
    refused = client.post("/known", content="refuse")
    assert (refused.status_code, refused.json()["error"]["code"]) == (418, "teapot")
    assert client.get("/known").status_code == 405
    assert client.get("/read").text == "read"
    assert "/known" in client.get("/openapi.json").json()["paths"]


def test_embeddings_are_a_quick_route(server):
    assert "/v1/embeddings" in server.client.get("/openapi.json").json()["paths"]
    answer = server.client.post("/v1/embeddings", json={"model": "mini-query", "input": "aspirin"})
    assert answer.status_code == 200
    assert server.client.get("/v1/embeddings").status_code == 405


@pytest.mark.parametrize("path", ["/other", "/read"])
def test_a_path_without_a_route_that_takes_post_is_refused(path):
    router = routes_of([])
    assert list(quick_routes(router, "/known")) == ["/known"]
    with pytest.raises(ValueError, match="no route"):
        quick_routes(router, "/known", path)
