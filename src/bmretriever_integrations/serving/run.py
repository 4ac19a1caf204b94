"""Runs the application on a port."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI

from bmretriever_integrations.serving.settings import ServerSettings


class Server(uvicorn.Server):
    """A server that tells its address."""

    @property
    def port(self) -> int:
        """The port that it listens on, once it has started."""
        return int(self.servers[0].sockets[0].getsockname()[1])


def server_of(app: FastAPI, settings: ServerSettings) -> Server:
    """
    Make a server; ``run()`` runs it until it is told to stop.

    :param app: the application.
    :param settings: where it listens.
    """
    limits = settings.limits
    return Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http="httptools",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=limits.connections,
            timeout_graceful_shutdown=int(limits.stop_seconds),
        )
    )
