"""Answers that hold vectors, in JSON: a small one is sent at once, a large one part by part while later texts are embedded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.serving.errors import ApiError
from bmretriever_integrations.serving.json_response import JsonResponse
from bmretriever_integrations.serving.parts import Parts

STREAMED = 256
"""The answer to a request of more texts is sent part by part: as text, 256 vectors of 4,096 numbers have about 10 MiB."""
GONE = 499
"""The status of a request whose client hung up, for logs and counts; nginx's number for it."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Layout:
    """How an answer is written."""

    head: bytes
    """What comes before the vectors."""
    items: Callable[[Vectors, int], bytes]
    """Writes vectors, given the number of the first of them, with commas between them."""
    tail: Callable[[Sequence[int]], bytes]
    """Writes what comes after the vectors, given the tokens of each sequence before it was cut."""


class _Stream(StreamingResponse):
    """An answer whose places are given back however it ends. One that fails ends without the end of its JSON."""

    def __init__(self, content: AsyncIterator[bytes], parts: Parts) -> None:
        super().__init__(content, media_type=JsonResponse.media_type)
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with closing(self._parts):
            await super().__call__(scope, receive, send)


async def answer(request: Request, parts: Parts, texts: int, layout: Layout) -> Response:
    """
    Answer with vectors.

    :param request: the request. If its client hangs up, its texts are not embedded any more, unless it is one text, whose
        embedding takes less than watching the client.
    :param parts: the vectors.
    :param texts: the number of all of them.
    :param layout: how they are written.
    :raises ApiError: if the client hung up.
    """
    try:
        if texts <= STREAMED:
            body = _whole(parts, layout)
            whole = await (_unless_gone(request, parts, body) if texts > 1 else body)
            return Response(whole, media_type=JsonResponse.media_type)
        written = _written(parts, layout)
        first = await _unless_gone(request, parts, anext(written))  # what fails here still has its own status
    except BaseException:
        parts.close()
        raise
    return _Stream(_chained(first, written), parts)


async def _written(parts: Parts, layout: Layout) -> AsyncIterator[bytes]:
    before, number = layout.head, 0
    async for vectors in parts:
        yield before + layout.items(vectors, number)
        before, number = b",", number + len(vectors)
    yield layout.tail(parts.lengths)


async def _whole(parts: Parts, layout: Layout) -> bytes:
    items, number = [], 0
    async for vectors in parts:
        items.append(layout.items(vectors, number))
        number += len(vectors)
    return layout.head + b",".join(items) + layout.tail(parts.lengths)


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part


async def _unless_gone(request: Request, parts: Parts, work: Awaitable[Result]) -> Result:
    """Wait for work on the parts, and close them if the client hangs up meanwhile."""
    watcher = asyncio.create_task(_close_when_gone(request, parts))
    try:
        return await work
    except asyncio.CancelledError:
        if watcher.done():
            raise ApiError(GONE, "the client hung up") from None
        raise
    finally:
        watcher.cancel()


async def _close_when_gone(request: Request, parts: Parts) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    parts.close()
