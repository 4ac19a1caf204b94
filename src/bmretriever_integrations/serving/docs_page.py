"""The page ``/docs``, on which ``/openapi.json`` is read and tried: Swagger UI, from a package and not from a network."""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from bmretriever_integrations.serving.errors import ApiError

PACKAGE = "fastapi_offline"
"""Carries Swagger UI's files as they are published; FastAPI's own page fetches them from elsewhere when it is shown."""
KINDS = {"swagger-ui.css": "text/css; charset=utf-8", "swagger-ui-bundle.js": "text/javascript; charset=utf-8"}
"""Maps the files that are taken from it to their types of content."""
MISSING = (
    "this page needs the package fastapi-offline, which the extra serve has; /openapi.json says the same without it"
)
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>BMRetriever: all routes</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<noscript>This page needs JavaScript. <a href="openapi.json">openapi.json</a> says the same.</noscript>
<div id="routes"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START = """\
SwaggerUIBundle({url: "openapi.json", dom_id: "#routes", validatorUrl: null, docExpansion: "list", tryItOutEnabled: true});
"""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Swagger UI needs nothing inline; its icons are ``data:``."""
KEPT = {"Cache-Control": "private, max-age=3600"}
"""An hour: the script has 1.5 MB and changes with the package alone."""


def docs_routes() -> APIRouter:
    """Make the routes of the page."""
    router = APIRouter(include_in_schema=False)
    has_package = importlib.util.find_spec(PACKAGE) is not None

    @router.get("/docs")
    async def page() -> Response:
        if not has_package:
            raise ApiError(404, MISSING, code="not_installed")
        return Response(PAGE, media_type="text/html", headers={"Content-Security-Policy": POLICY})

    @router.get("/docs/start.js")
    async def start() -> Response:
        return Response(START, media_type="text/javascript", headers=KEPT)

    if has_package:
        for name, kind in KINDS.items():
            router.add_api_route(f"/docs/{name}", _file(name, kind), methods=["GET"])
    return router


def _file(name: str, kind: str) -> Callable[[], Awaitable[Response]]:
    path = str(files(PACKAGE) / "static" / name)

    async def file() -> Response:
        return FileResponse(path, media_type=kind, headers=KEPT)

    return file
