"""Counts every request, and writes one line about it into the log, without what was asked."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bmretriever_integrations.serving.answers import GONE
from bmretriever_integrations.serving.asked import begin, route_of
from bmretriever_integrations.serving.metrics import Metrics
from bmretriever_integrations.terminal.characters import escaped

logger = logging.getLogger(__name__)
SHOWN_TEXTS = 10
"""Texts of a request that are written into the log, where texts are written at all."""
SHOWN_CHARACTERS = 1_000
"""Characters of each of them."""


class Observing:
    """Measures what is inside of it."""

    def __init__(self, app: ASGIApp, metrics: Metrics, log_texts: bool) -> None:
        """
        :param app: what answers.
        :param metrics: what is counted.
        :param log_texts: write questions and texts into the log.
        """
        self._app, self._metrics, self._log_texts = app, metrics, log_texts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, asked, status = time.perf_counter(), begin(), GONE

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            seconds = time.perf_counter() - started
            method, route = scope["method"], route_of(scope)
            self._metrics.answered(route, method, status, seconds, asked.cut)
            if logger.isEnabledFor(logging.INFO):
                number = len(asked.texts)
                texts = f", {number:,} text{'' if number == 1 else 's'}" if number else ""
                shown = f" {_shown(asked.texts)}" if self._log_texts and asked.texts else ""
                logger.info("%s %s %d in %.1f ms%s%s", method, route, status, 1000 * seconds, texts, shown)


def _shown(texts: Sequence[str]) -> str:
    """Write texts as JSON on one line, with control characters as their codes."""
    cut = [text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..." for text in texts[:SHOWN_TEXTS]]
    more = f" and {len(texts) - SHOWN_TEXTS:,} more" if len(texts) > SHOWN_TEXTS else ""
    return escaped(json.dumps(cut, ensure_ascii=False)) + more
