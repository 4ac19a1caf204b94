"""The tools for one client that starts this process and talks to it over its standard input and output."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import TYPE_CHECKING

from mcp.server.stdio import stdio_server

from bmretriever_integrations.cli import print_error
from bmretriever_integrations.serving.agents.server import server_of
from bmretriever_integrations.serving.errors import ApiError

if TYPE_CHECKING:
    from bmretriever_integrations.serving.search import Searcher
    from bmretriever_integrations.serving.service import Service

NOT_OPEN = "the index could not be opened; the standard error of `bmretriever mcp` says why"


class Opening:
    """Loads the index and its model on a thread, while the client is greeted already."""

    def __init__(self, load: Callable[[ExitStack], Service]) -> None:
        """
        :param load: opens both and begins to embed; what has to be closed in the end it puts into the stack.
        """
        self._load = load
        self._open_things = ExitStack()
        self._service: asyncio.Task[Service] | None = None

    def start(self) -> None:
        """Begin to load."""
        self._service = asyncio.create_task(asyncio.to_thread(self._loaded))

    async def searcher(self) -> Searcher:
        """
        Wait for the index.

        :raises ApiError: if it could not be opened.
        """
        assert self._service is not None
        try:
            service = await asyncio.shield(self._service)
        except asyncio.CancelledError:
            raise
        except Exception:
            raise ApiError(500, NOT_OPEN) from None
        assert service.searcher is not None
        return service.searcher

    async def close(self) -> None:
        """Close what was opened."""
        assert self._service is not None
        with suppress(Exception):  # printed when it was raised
            await (await self._service).close()
        await asyncio.to_thread(self._open_things.close)

    def _loaded(self) -> Service:
        try:
            return self._load(self._open_things)
        except Exception as error:
            print_error(error)
            raise


async def serve(opening: Opening) -> None:
    """
    Answer the client until it closes standard input.

    :param opening: the index, which nobody has begun to load.
    """
    async with AsyncExitStack() as stack:
        # from here on, whatever else is printed goes to standard error
        read, write = await stack.enter_async_context(stdio_server())
        opening.start()
        stack.push_async_callback(opening.close)
        server = server_of(opening.searcher)
        await server.run(read, write, server.create_initialization_options())
