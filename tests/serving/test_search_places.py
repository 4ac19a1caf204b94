"""Large searches wait for each other, small ones pass them, and every place is given back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from bmretriever_integrations.index import SearchIndex
from bmretriever_integrations.serving.errors import ApiError
from bmretriever_integrations.serving.search_places import LARGE, SMALL_HITS, THREADS, SearchPlaces, cost
from bmretriever_integrations.serving.settings import Limits

BATCH = {"questions": ["insulin"] * 10, "top_k": 1000, "mode": "text"}
BATCH_HITS = 10_000


@dataclass
class Gate:
    """Holds up the searches of one ``top_k`` in the index."""

    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    go_on: threading.Event = field(default_factory=threading.Event)
    asked: list[int] = field(default_factory=list)
    """How many questions the index was asked at once."""


@pytest.fixture
def gate(monkeypatch) -> Iterator[Gate]:
    gate, plain = Gate(), SearchIndex.search_many

    def search_many(self, questions, top_k, **options: Any):
        if top_k == BATCH["top_k"]:
            gate.asked.append(len(questions))
            gate.begun.release()
            assert gate.go_on.wait(60)
        return plain(self, questions, top_k, **options)

    monkeypatch.setattr(SearchIndex, "search_many", search_many)
    yield gate
    gate.go_on.set()


@pytest.fixture
def places() -> Iterator[Callable[..., SearchPlaces]]:
    made: list[SearchPlaces] = []

    def make(**limits: int) -> SearchPlaces:
        made.append(SearchPlaces(Limits(**limits)))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def settle() -> None:
    """Let every coroutine go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_small_searches_are_answered_while_large_ones_fill_their_places(serve_index, gate):
    with (
        serve_index(limits=Limits(hits_waiting=(LARGE + 1) * BATCH_HITS)) as server,
        ThreadPoolExecutor(LARGE + 1) as others,
    ):
        try:
            batches = [others.submit(server.client.post, "/search/batch", json=BATCH) for _ in range(LARGE + 1)]
            for _ in range(LARGE):
                assert gate.begun.acquire(timeout=60)
            while server.service.searcher.searching < LARGE + 1:
                assert not any(batch.done() for batch in batches)
            refused = server.client.post("/search/batch", json=BATCH)
            small = [
                server.client.post("/search", json={"question": "insulin"}),
                server.client.post("/search", json={"like": "case-1"}),
                server.client.post("/search/batch", json={"questions": ["insulin", "statins"]}),
                server.client.get("/records/case-1"),
                server.client.get("/index"),
            ]
            assert len(gate.asked) == LARGE  # the fourth batch waits for its turn
        finally:
            gate.go_on.set()
        assert [answer.status_code for answer in small] == [200] * 5
        error = refused.json()["error"]
        assert (refused.status_code, error["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert f"large searches for {(LARGE + 1) * BATCH_HITS:,} hits" in error["message"]
        assert [batch.result().status_code for batch in batches] == [200] * (LARGE + 1)
        assert server.client.post("/search/batch", json=BATCH).status_code == 200
        assert server.service.searcher.searching == 0


def test_a_large_batch_is_searched_in_pieces_and_answered_as_a_whole(server, gate):
    gate.go_on.set()
    questions = ["insulin", "statins", "aspirin", "metformin", "whales", "bees", "cancer", "stroke", "muscles", "id"]
    asked = {"top_k": BATCH["top_k"], "mode": "vector"}
    answers = server.client.post("/search/batch", json={"questions": questions, **asked}).json()["answers"]
    assert gate.asked == [8, 2]
    assert [answer["question"] for answer in answers] == questions
    for number in (0, 7, 8, 9):
        alone = server.client.post("/search", json={"question": questions[number], **asked}).json()
        assert alone["hits"] == answers[number]["hits"]


def test_an_answer_keeps_its_place_while_it_is_written(serve_index, monkeypatch):
    from bmretriever_integrations.serving import search_routes

    begun, go_on, plain, fails = threading.Event(), threading.Event(), search_routes.response_of, [True]

    def response_of(*asked: Any, **options: Any):
        begun.set()
        assert go_on.wait(60)
        if fails:
            raise ValueError(fails.pop())
        return plain(*asked, **options)

    monkeypatch.setattr(search_routes, "response_of", response_of)
    with serve_index(limits=Limits(searches=1)) as server, ThreadPoolExecutor(1) as other:
        first = other.submit(server.client.post, "/search", json={"question": "insulin"})
        try:
            assert begun.wait(60)
            assert server.client.post("/search", json={"question": "insulin"}).status_code == 503
        finally:
            go_on.set()
        assert first.result().status_code == 500
        assert server.client.post("/search", json={"question": "insulin"}).status_code == 200


def test_what_a_request_counts_for():
    assert cost(1, 10) == cost(1, 100) == 100
    assert (cost(5, 10), cost(1, 1000), cost(10, 1000)) == (SMALL_HITS, 1000, BATCH_HITS)


async def test_a_batch_above_the_bound_has_a_place_if_it_is_alone(places):
    places = places(hits_waiting=SMALL_HITS)
    async with places.taken(BATCH_HITS):
        assert (places.requests, places.hits) == (1, BATCH_HITS)
        with pytest.raises(ApiError, match="smaller ones"):
            async with places.taken(SMALL_HITS + 1):
                pass
        async with places.taken(SMALL_HITS) as place:
            assert await place.run(lambda: places.requests) == 2
    assert (places.requests, places.hits) == (0, 0)


async def test_places_are_given_back_after_errors(places):
    places = places()

    async def fail():
        async with places.taken(BATCH_HITS) as place:
            await place.run(lambda: 1 / 0)

    for _ in range(THREADS + 1):
        with pytest.raises(ZeroDivisionError):
            await fail()
    assert (places.requests, places.hits) == (0, 0)
    async with places.taken(BATCH_HITS) as place:
        assert await place.run(lambda: 5) == 5


async def test_a_cancelled_request_keeps_its_place_until_its_thread_is_free(places):
    places, go_on, ran = places(hits_waiting=10 * BATCH_HITS), threading.Event(), []
    begun = asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()

    def work():
        loop.call_soon_threadsafe(begun.release)
        assert go_on.wait(60)

    async def search(piece):
        async with places.taken(BATCH_HITS) as place:
            await place.run(piece)

    try:
        running = [asyncio.create_task(search(work)) for _ in range(LARGE)]
        for _ in running:
            await asyncio.wait_for(begun.acquire(), 60)
        waiting = asyncio.create_task(search(lambda: ran.append("cancelled")))
        last = asyncio.create_task(search(lambda: ran.append("last")))
        await settle()
        assert (places.requests, places.hits) == (LARGE + 2, (LARGE + 2) * BATCH_HITS)
        for task in (waiting, *running):
            task.cancel()
        await asyncio.gather(waiting, *running, return_exceptions=True)
        await settle()
        assert (places.requests, ran) == (LARGE + 1, [])  # the threads are busy still, so that the last one waits
    finally:
        go_on.set()
    await asyncio.wait_for(last, 60)
    assert ran == ["last"]
    while places.requests:
        await asyncio.sleep(0.001)
    assert places.hits == 0


async def test_work_that_waits_for_a_thread_is_not_run_once_its_request_is_cancelled(places):
    places, go_on, ran = places(), threading.Event(), []

    async def search(piece):
        async with places.taken() as place:
            await place.run(piece)

    try:
        busy = [asyncio.create_task(search(lambda: go_on.wait(60))) for _ in range(THREADS)]
        await settle()
        waiting = asyncio.create_task(search(lambda: ran.append(1)))
        await settle()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert places.requests == THREADS
    finally:
        go_on.set()
    await asyncio.gather(*busy)
    assert (ran, places.requests) == ([], 0)
