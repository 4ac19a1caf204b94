"""Where the server writes what happens: one line each, on standard error."""

from __future__ import annotations

import logging

import bmretriever_integrations

FORMAT = "%(asctime)s %(levelname)s %(message)s"


def log_to_stderr() -> None:
    """
    Write the server's own log, and the warnings of others.

    Of uvicorn's remarks only errors are kept: the others say what the command or the access log says itself.
    """
    logging.basicConfig(format=FORMAT, level=logging.WARNING)
    logging.getLogger(bmretriever_integrations.__name__).setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
