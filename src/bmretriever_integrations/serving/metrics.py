"""What the server counts and measures, in the format of Prometheus."""

from __future__ import annotations

from fastapi import Request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.responses import Response

from bmretriever_integrations.serving.asked import NO_ROUTE
from bmretriever_integrations.serving.embedder import Ran
from bmretriever_integrations.serving.service import Service

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds of durations: Prometheus' own, and further ones below and above, for one query and for thousands of passages."""
TEXTS = (1, 2, 4, 8, 16, 32, 64)
"""Bounds of the texts of a batch, which has 64 at most (``BATCH_TEXTS``)."""
TOKENS = (16, 64, 256, 1024, 4096, 16384, 65536)
"""Bounds of the tokens of a batch; on a GPU, one has tens of thousands."""


class Metrics:
    """The numbers of one application. They are its own: two in one process do not mix theirs."""

    def __init__(self, service: Service) -> None:
        """
        :param service: whose batches are measured, and whose queues are looked at when the numbers are asked for.
        """
        registry = self.registry = CollectorRegistry()
        labels = ["route", "method", "status"]
        self._requests = Counter("bmretriever_requests", "Requests that were answered", labels, registry=registry)
        self._seconds = Histogram(
            "bmretriever_request_seconds",
            "From the head of a request to the end of its answer",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._refused = Counter(
            "bmretriever_refused_requests", "Requests for which there was no place (503)", registry=registry
        )
        self._cut = Counter(
            "bmretriever_cut_texts", "Texts that the model does not read to their end", registry=registry
        )
        self._batches = _Batches(registry)
        service.embedder.on_batch = self._batches.add
        waiting, searcher = service.embedder.waiting, service.searcher
        gauge = Gauge("bmretriever_waiting_texts", "Texts that wait to be embedded", registry=registry)
        gauge.set_function(lambda: waiting.texts)
        gauge = Gauge("bmretriever_waiting_tokens", "Their tokens", registry=registry)
        gauge.set_function(lambda: waiting.tokens)
        if searcher is not None:
            gauge = Gauge("bmretriever_searches", "Searches that wait for the index or read it", registry=registry)
            gauge.set_function(lambda: searcher.searching)
        ProcessCollector(registry=registry)

    def answered(self, route: str, method: str, status: int, seconds: float, cut: int) -> None:
        """
        Count a request.

        :param route: its address without what stands for an id; :data:`NO_ROUTE` if there is none.
        :param method: its method.
        :param status: of its answer.
        :param seconds: how long it took.
        :param cut: its texts that were cut.
        """
        self._count(route, method, status)
        self._seconds.labels(route).observe(seconds)
        if cut:
            self._cut.inc(cut)

    def refused(self, status: int) -> None:
        """
        Count a connection that was answered without a request.

        :param status: of the answer.
        """
        self._count(NO_ROUTE, NO_ROUTE, status)

    def _count(self, route: str, method: str, status: int) -> None:
        self._requests.labels(route, method, status).inc()
        if status == 503:
            self._refused.inc()

    async def page(self, request: Request) -> Response:
        """Tell the numbers to Prometheus."""
        write, kind = choose_encoder(request.headers.get("Accept", ""))
        return Response(write(self.registry), headers={"Content-Type": kind})


class _Batches:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._texts = Histogram(
            "bmretriever_batch_texts",
            "Texts that were embedded together",
            ["kind"],
            buckets=TEXTS,
            registry=registry,
        )
        self._tokens = Histogram(
            "bmretriever_batch_tokens", "Tokens of a batch", ["kind"], buckets=TOKENS, registry=registry
        )
        self._seconds = Histogram(
            "bmretriever_batch_seconds",
            "How long the model computed for a batch",
            ["kind"],
            buckets=SECONDS,
            registry=registry,
        )

    def add(self, ran: Ran) -> None:
        self._texts.labels(ran.kind).observe(ran.texts)
        self._tokens.labels(ran.kind).observe(ran.tokens)
        self._seconds.labels(ran.kind).observe(ran.seconds)
