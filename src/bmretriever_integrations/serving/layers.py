"""What every request passes on its way to its route, in order."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from bmretriever_integrations.serving.answer_headers import AnswerHeaders
from bmretriever_integrations.serving.bodies import Bodies
from bmretriever_integrations.serving.failures import FailuresAnswered
from bmretriever_integrations.serving.guard import Guard
from bmretriever_integrations.serving.metrics import Metrics
from bmretriever_integrations.serving.observing import Observing
from bmretriever_integrations.serving.quick_routes import Endpoint, QuickRoutes
from bmretriever_integrations.serving.search_answers import LEFT_OUT, NOTES
from bmretriever_integrations.serving.settings import ServerSettings

ASKED_HEADERS = ("Authorization", "Content-Type", "Last-Event-ID", "Mcp-Protocol-Version", "Mcp-Session-Id")
"""Headers that a page elsewhere may send: the key, the type of the body, and those of the Model Context Protocol."""
TOLD_HEADERS = ("Retry-After", "Content-Disposition", LEFT_OUT, NOTES)
"""Headers of answers that its scripts may read."""


def add_layers(app: FastAPI, settings: ServerSettings, metrics: Metrics, quick: dict[str, Endpoint]) -> None:
    """
    Put the layers around the routes.

    :param app: the application with its routes.
    :param settings: whom it answers.
    :param metrics: what is counted.
    :param quick: functions of routes that are called before FastAPI looks at a request, by their paths.
    """
    add = app.add_middleware  # each goes around those before it: the last one sees a request first
    add(QuickRoutes, routes=quick)
    add(Bodies, limits=settings.limits)
    add(Guard, settings=settings)
    if settings.origins:
        add(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=ASKED_HEADERS,
            expose_headers=TOLD_HEADERS,
        )
    add(FailuresAnswered)
    add(Observing, metrics=metrics, log_texts=settings.log_texts)
    add(AnswerHeaders)
