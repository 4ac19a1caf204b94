"""Serve the page for people: a search form and its results, as files that load nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import PurePath
from types import MappingProxyType

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

PAGE = "index.html"
"""The file that ``/`` answers with."""
PLACE = "page"
"""The path below which the other files are, and the folder beside this module that holds all of them."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Maps the ends of the names of files to content types."""
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",  # the browser asks each time, and gets 304 while the file is the same
    }
)
"""Headers of every file: the page runs its own scripts only, sends to its own server only, and stands in no other page."""


@dataclass(frozen=True)
class _File:
    """A file of the page as an answer."""

    content: bytes
    headers: Mapping[str, str]

    def answer(self, request: Request) -> Response:
        """Return the file, or 304 if the browser has it."""
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")}
        if self.headers["ETag"] in known:
            return Response(status_code=304, headers={**HEADERS, "ETag": self.headers["ETag"]})
        return Response(self.content, headers=self.headers)


def page_routes() -> APIRouter:
    """
    Make the routes of the page: ``/``, and a path for each of its files. The files are read once, now.

    :returns: the routes.
    """
    routes = APIRouter(include_in_schema=False)
    found = _read()
    page = found.pop(PAGE)

    @routes.api_route("/", methods=["GET", "HEAD"])
    async def show_page(request: Request) -> Response:
        return page.answer(request)

    @routes.api_route(f"/{PLACE}/{{name}}", methods=["GET", "HEAD"])
    async def show_file(name: str, request: Request) -> Response:
        if name not in found:
            raise HTTPException(404)
        return found[name].answer(request)

    return routes


def _read() -> dict[str, _File]:
    """Name -> file, of all files of the page."""
    read = {}
    for each in (files(__package__) / PLACE).iterdir():
        kind = TYPES.get(PurePath(each.name).suffix)
        if kind is not None:
            content = each.read_bytes()
            tag = f'"{sha256(content).hexdigest()[:32]}"'  # half of it names a file as surely
            read[each.name] = _File(content, {**HEADERS, "Content-Type": kind, "ETag": tag})
    return read
