"""One engine embeds what several requests wait for, together, and each gets the bits that it would get alone."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.serving.embedder import Embedder
from bmretriever_integrations.serving.errors import ApiError
from bmretriever_integrations.serving.settings import Limits

QUERIES = [f"Does drug {number} lower blood pressure?" for number in range(12)]
PASSAGES = [f"Drug {number} lowered the pressure of {number} patients. " * (1 + number % 3) for number in range(150)]


def tasks_of(embedder, kind, requests, instruction=None):
    return [asyncio.create_task(embedder.embed(kind, texts, instruction)) for texts in requests]


@asynccontextmanager
async def started(embedder, *requests):
    """Let the requests wait, then start the engine; in the end it is closed."""
    while embedder.waiting.texts < sum(len(texts) for texts in requests):
        await asyncio.sleep(0)
    await asyncio.to_thread(embedder.start)
    try:
        yield
    finally:
        await embedder.close()


async def test_requests_that_wait_are_embedded_together_and_get_their_own_bits(mini, assert_same):
    ran = []
    embedder = Embedder(mini, Limits(), ran.append)
    queries, passages = [[query] for query in QUERIES], [PASSAGES[:2], PASSAGES[2:9], PASSAGES[9:10]]
    asked, given = tasks_of(embedder, "query", queries), tasks_of(embedder, "passage", passages)
    async with started(embedder, *queries, *passages):
        found = np.concatenate(await asyncio.gather(*asked))
        assert_same(found, mini.encode_queries(QUERIES))
        found = np.concatenate(await asyncio.gather(*given))
        assert_same(found, mini.encode_passages(PASSAGES[:10]))
    assert [(batch.kind, batch.texts, batch.requests) for batch in ran] == [("query", 12, 12), ("passage", 10, 3)]
    assert all(batch.tokens > 5 * batch.texts and batch.seconds > 0 for batch in ran)


async def test_instructions_of_requests(mini, assert_same):
    ran = []
    embedder = Embedder(mini, Limits(), ran.append)
    texts = QUERIES[:1]
    waiting = [tasks_of(embedder, "query", [texts], task)[0] for task in (None, "nq", "Find a drug", None)]
    async with started(embedder, *[texts] * 4):
        found = await asyncio.gather(*waiting)
    for task, vectors in zip((None, "nq", "Find a drug", None), found, strict=True):
        assert_same(vectors, mini.encode_queries(texts, task))
    assert [batch.requests for batch in ran] == [2, 1, 1]


async def test_a_long_request_comes_in_parts_and_as_a_whole(mini, assert_same):
    ran = []
    embedder = Embedder(mini, Limits(), ran.append)
    right = mini.encode_passages(PASSAGES)
    async with started(embedder):
        admitted = await embedder.admission.check("passage", PASSAGES)
        parts = [part async for part in embedder.parts(admitted)]
        assert len(parts) == len(ran) > 2
        assert_same(np.concatenate(parts), right)
        assert_same(await embedder.whole(admitted), right)


async def test_a_poisoned_request_fails_alone(mini, monkeypatch, assert_same):
    plain = BMRetrieverEncoder.encode_queries

    def encode(self, texts, *arguments):
        if "poison" in texts:
            raise FloatingPointError("a vector holds NaN")
        return plain(self, texts, *arguments)

    monkeypatch.setattr(BMRetrieverEncoder, "encode_queries", encode)
    embedder = Embedder(mini, Limits())
    requests = [QUERIES[:2], ["poison"], QUERIES[2:3]]
    asked = tasks_of(embedder, "query", requests)
    async with started(embedder, *requests):
        first, failed, last = await asyncio.gather(*asked, return_exceptions=True)
    assert_same(np.concatenate([first, last]), plain(mini, QUERIES[:3]))
    assert isinstance(failed, FloatingPointError)


async def test_what_waits_is_bounded(mini):
    embedder = Embedder(mini, Limits(waiting=10))
    full = tasks_of(embedder, "passage", [PASSAGES[:9]])
    await asyncio.sleep(0)
    with pytest.raises(ApiError, match="9 texts are waiting already, of at most 10; try again in 1 s") as refused:
        await embedder.embed("query", QUERIES[:2])
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
    async with started(embedder, PASSAGES[:9]):
        assert len(await full[0]) == 9
        assert len(await embedder.embed("query", QUERIES[:2])) == 2


async def test_a_longer_queue_is_a_longer_wait(mini):
    embedder = Embedder(mini, Limits(waiting=1000))
    long = ["word " * 600] * 150
    parts = embedder.parts(await embedder.admission.check("passage", long))
    assert embedder.retry_after() == 39  # 150 texts of 512 tokens, at the rate that is assumed before the first batch
    parts.close()
    assert embedder.retry_after() == 1


async def test_a_request_that_is_cancelled_is_not_embedded(mini, assert_same):
    ran = []
    embedder = Embedder(mini, Limits(), ran.append)
    requests = [QUERIES[:3], QUERIES[3:5], QUERIES[5:6]]
    first, gone, last = tasks_of(embedder, "query", requests)
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert embedder.waiting.texts == 4
    async with started(embedder):
        assert_same(np.concatenate([await first, await last]), mini.encode_queries([*QUERIES[:3], QUERIES[5]]))
    assert [batch.texts for batch in ran] == [4]


async def test_closing_finishes_what_waits_and_takes_nothing_further(mini, assert_same):
    embedder = Embedder(mini, Limits())
    asked = tasks_of(embedder, "passage", [PASSAGES])
    async with started(embedder, PASSAGES):
        await embedder.close()
        with pytest.raises(ApiError, match="the server is stopping") as refused:
            await embedder.embed("query", QUERIES)
    assert refused.value.status == 503
    assert_same(await asked[0], mini.encode_passages(PASSAGES))
    assert len(mini.encode_queries(QUERIES[:1])) == 1  # the engine is the caller's


async def test_a_count_that_fails_stops_nothing(mini, caplog):
    embedder = Embedder(mini, Limits(), lambda ran: 1 / 0)
    async with started(embedder):
        for _ in range(2):
            assert len(await embedder.embed("query", QUERIES[:1])) == 1
    assert "a batch could not be counted" in caplog.text


@pytest.mark.parametrize(
    "settings", [{"truncate_dim": 100}, {"normalize": True}, {"truncate_dim": 7, "normalize": True}]
)
async def test_finished_vectors_are_those_of_an_engine_with_these_settings(mini, settings, assert_same):
    with BMRetrieverEncoder("mini", device="cpu", **settings) as engine:
        right = engine.encode_passages(PASSAGES[:20])
    embedder = Embedder(mini, Limits())
    plain = mini.encode_passages(PASSAGES[:20])
    found = embedder.finished(plain, settings.get("truncate_dim"), settings.get("normalize"))
    assert_same(found, right)
    assert_same(embedder.finished(plain), plain)


async def test_an_engine_that_normalizes_does_so_unless_a_request_says_otherwise(mini, assert_same):
    with BMRetrieverEncoder("mini", device="cpu", normalize=True) as engine:
        embedder = Embedder(engine, Limits())
        async with started(embedder):
            vectors = await embedder.embed("query", QUERIES)
        assert_same(embedder.finished(vectors), engine.encode_queries(QUERIES))
        assert_same(embedder.finished(vectors, normalize=False), mini.encode_queries(QUERIES))
        assert_same(embedder.finished(vectors, 50), embedder.finished(vectors, 50, True))
