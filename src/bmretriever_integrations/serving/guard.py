"""
Whom the server answers: those with the key, who call it by a name of its own and not from a web page of somebody else.

A browser runs the pages of all sites on the user's machine, where a server of this machine alone can be reached. So a page of
another site is refused whatever it asks (``Origin``, ``Sec-Fetch-Site``), and so is the way around this: a site whose name is
made to lead to this machine (DNS rebinding). That needs a name, so every address such as 192.168.1.5 is taken as a name of the
server. Where a key is set, such a page could ask for nothing, so names are compared only if further ones were given.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Collection
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from bmretriever_integrations.serving.errors import INVALID, ApiError
from bmretriever_integrations.serving.settings import ServerSettings

OPEN_PATHS = frozenset({"/", "/health", "/docs", "/openapi.json"})
"""What everybody may read without a key: the two pages, what routes there are, and that the server answers."""
OPEN_BELOW = ("/page/", "/docs/")
"""The paths below which the pages' own files are; they need no key either."""
ONCE = (b"host", b"origin", b"authorization", b"content-type", b"content-encoding")
"""Headers on which a decision rests: two of one name are refused, because others might read the other one."""
KEPT = 256
"""Values of ``Host`` whose check is remembered; a client sends the same one each time."""


class Guard:
    """Refuses requests by their head alone, before any of their body is read."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, open_paths: Collection[str] = OPEN_PATHS) -> None:
        """
        :param app: what answers the others.
        :param settings: whom the server answers.
        :param open_paths: paths that need no key.
        """
        self._app, self._open = app, frozenset(open_paths)
        self._key = None if settings.api_key is None else f"Bearer {settings.api_key}".encode()
        self._names = {
            "localhost",
            settings.host.lower(),
            socket.gethostname().lower(),
            *map(str.lower, settings.hosts),
        }
        self._given = frozenset(map(str.lower, settings.hosts))
        self._origins = frozenset(settings.origins)
        self._any_name = settings.api_key is not None and not settings.hosts
        self._is_ours = lru_cache(KEPT)(self._is_our_name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal.answer()(scope, receive, send)

    def _refusal(self, scope: Scope) -> ApiError | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        refusal = (
            self._wrong_name(scope, headers)
            or self._wrong_site(headers)
            or self._wrong_key(scope["path"], headers)
            or _wrong_type(scope["method"], headers)
        )
        if refusal and (b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"):
            refusal.headers["Connection"] = "close"  # the body is not read
        return refusal

    def _wrong_name(self, scope: Scope, headers: dict[bytes, bytes]) -> ApiError | None:
        if len(headers) != len(scope["headers"]):
            names = [name for name, _ in scope["headers"]]
            for name in ONCE:
                if names.count(name) > 1:
                    message = f"the request has the header {name.decode().title()} twice"
                    return ApiError(400, message, code=INVALID)
        host = headers.get(b"host")
        if host is None:
            if scope["http_version"] == "1.0":  # which had no such header; no browser speaks it
                return None
            return ApiError(400, "the request has no header Host", code="missing_required_parameter")
        if self._any_name or self._is_ours(host):
            return None
        message = (
            f"the request is addressed to {_shown(host)}, which is no name of this server; "
            "whoever runs it can add one with --allow-host"
        )
        return ApiError(421, message, code="unknown_host")

    def _is_our_name(self, host: bytes) -> bool:
        netloc = host.decode("latin-1").lower()
        name = _without_port(netloc)
        if name in self._names or netloc in self._given:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    def _wrong_site(self, headers: dict[bytes, bytes]) -> ApiError | None:
        origin = headers.get(b"origin")
        if origin is not None:
            if self._is_our_origin(origin.decode("latin-1"), headers.get(b"host", b"").decode("latin-1")):
                return None
            message = (
                f"a page of {_shown(origin)} may not use this server; whoever runs it can allow that with --cors-origin"
            )
            return ApiError(403, message, code="origin_not_allowed")
        site = headers.get(b"sec-fetch-site")
        if site in (None, b"same-origin", b"none") or headers.get(b"sec-fetch-mode") == b"navigate":
            return None  # a link from elsewhere may lead to the page
        return ApiError(403, "a page of another site may not use this server", code="origin_not_allowed")

    def _is_our_origin(self, origin: str, host: str) -> bool:
        if origin in self._origins:
            return True
        _, _, netloc = origin.lower().partition("://")
        return bool(netloc) and (netloc == host.lower() or netloc in self._given)

    def _wrong_key(self, path: str, headers: dict[bytes, bytes]) -> ApiError | None:
        if self._key is None or path in self._open or path.startswith(OPEN_BELOW):
            return None
        given = headers.get(b"authorization")
        challenge = {"WWW-Authenticate": "Bearer"}
        if given is None:
            message = "this server wants a key: send the header Authorization: Bearer KEY"
            return ApiError(401, message, code="missing_api_key", headers=challenge)
        scheme, _, key = given.partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(b"Bearer " + key.strip(), self._key):
            return None
        message = "the key in the header Authorization is not that of this server; it reads: Bearer KEY"
        return ApiError(401, message, code="invalid_api_key", headers=challenge)


def _wrong_type(method: str, headers: dict[bytes, bytes]) -> ApiError | None:
    """A form of another site's page can be sent without asking, but never as JSON. No route takes a body but by POST."""
    if method != "POST":
        return None
    given = headers.get(b"content-type", b"")
    if given == b"application/json" or given.partition(b";")[0].strip().lower() == b"application/json":
        return None
    kind = f"has the Content-Type {_shown(given)}" if given else "has no Content-Type"
    return ApiError(415, f"the body {kind}; send JSON as application/json", code="unsupported_media_type")


def _without_port(netloc: str) -> str:
    if netloc.startswith("["):
        return netloc.partition("]")[0] + "]"
    return netloc.partition(":")[0]


def _shown(value: bytes) -> str:
    return f"{value.decode('latin-1')!r:.100}"
