"""The application: all routes over one service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from bmretriever_integrations.serving.agents.endpoint import AgentsEndpoint
from bmretriever_integrations.serving.docs_page import docs_routes
from bmretriever_integrations.serving.errors import ApiError
from bmretriever_integrations.serving.json_response import JsonResponse
from bmretriever_integrations.serving.layers import add_layers
from bmretriever_integrations.serving.metrics import Metrics
from bmretriever_integrations.serving.openai.routes import openai_routes
from bmretriever_integrations.serving.openapi import answered, complete
from bmretriever_integrations.serving.page_routes import page_routes
from bmretriever_integrations.serving.quick_routes import quick_routes
from bmretriever_integrations.serving.search_routes import search_routes
from bmretriever_integrations.serving.service import Service
from bmretriever_integrations.serving.settings import ServerSettings
from bmretriever_integrations.serving.tei.routes import tei_routes

ABOUT = """\
Embeddings as OpenAI and text-embeddings-inference have them, and searches of an index. `/mcp` speaks the Model Context Protocol.
A field that a route does not know is refused."""


def create_app(service: Service, settings: ServerSettings) -> FastAPI:
    """
    Make the application.

    :param service: the model and the index; the application starts and closes it.
    :param settings: whom the server answers.
    """

    agents = None if service.searcher is None else AgentsEndpoint(service.searcher)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            async with AsyncExitStack() as stack:
                if agents is not None:
                    await stack.enter_async_context(agents.running())
                yield
        finally:
            await service.close()

    app = FastAPI(title="BMRetriever", description=ABOUT, version="1", docs_url=None, redoc_url=None, lifespan=lifespan)
    metrics = Metrics(service)
    app.state.service, app.state.settings, app.state.metrics = service, settings, metrics
    said = answered("the server answers", {"status": "ok"})
    app.add_api_route("/health", _health, methods=["GET"], tags=["server"], responses=said)
    app.add_api_route("/health", _health, methods=["HEAD"], include_in_schema=False)
    app.add_api_route("/metrics", metrics.page, methods=["GET"], tags=["server"], response_class=PlainTextResponse)
    app.include_router(docs_routes())
    app.include_router(search_routes(service))
    app.include_router(page_routes())
    app.include_router(openai := openai_routes(service))
    app.include_router(tei_routes(service))
    if agents is not None:
        app.router.routes.append(agents.route)
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(HTTPException, _not_routed)
    add_layers(app, settings, metrics, quick_routes(openai, "/v1/embeddings"))
    complete(app, settings.api_key is not None)
    return app


async def _health() -> JsonResponse:
    """Say that the server answers; no key is needed."""
    return JsonResponse({"status": "ok"})


async def _refused(_request: Request, error: Exception) -> JsonResponse:
    assert isinstance(error, ApiError)
    return error.answer()


async def _not_routed(request: Request, error: Exception) -> JsonResponse:
    assert isinstance(error, HTTPException)
    path, status = f"{request.url.path!r:.200}", error.status_code
    known = {
        404: (f"there is nothing at {path}", "unknown_url"),
        405: (f"{path} has no {request.method}", "method_not_allowed"),
    }
    message, code = known.get(status, (str(error.detail), None))
    return ApiError(status, message, code=code, headers=error.headers).answer()
