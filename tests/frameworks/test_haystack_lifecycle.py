"""Warm-up, close, sharing, threads, coroutines."""

from __future__ import annotations

import asyncio
import contextvars
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from haystack import Document

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.encoder.sharing import engines_open
from bmretriever_integrations.haystack import BMRetrieverDocumentEmbedder, BMRetrieverTextEmbedder

TEXTS = [f"case {number} " * (number % 25 + 1) for number in range(200)]


@pytest.fixture
def tiny(tiny, tmp_path):
    """A function: architecture -> a checkpoint of this test alone, whose engine no other test can hold and share."""

    def copied(architecture):
        folder = tmp_path / architecture
        return folder if folder.exists() else shutil.copytree(tiny(architecture), folder)

    return copied


@pytest.fixture
def opened(without_garbage):
    """A function: how many engines this test has opened."""
    before = engines_open()
    return lambda: engines_open() - before


@pytest.fixture
def pair(tiny, opened):
    arguments = {"model": str(tiny("llama")), "progress_bar": False}
    embedders = (BMRetrieverTextEmbedder(**arguments), BMRetrieverDocumentEmbedder(**arguments))
    yield embedders
    for embedder in embedders:
        embedder.close()


def test_two_components_share_one_engine_and_the_last_to_close_frees_it(tiny, pair, opened):
    text_embedder, document_embedder = pair
    assert opened() == 0
    text_embedder.warm_up()
    document_embedder.warm_up()
    document_embedder.warm_up()
    assert opened() == 1
    # what a call decides is not the engine's: it makes no second one
    other = BMRetrieverDocumentEmbedder(
        model=str(tiny("llama")), batch_size=1, normalize_embeddings=True, progress_bar=True, precision="binary"
    )
    other.run([Document(content="a")])
    assert opened() == 1
    shorter = BMRetrieverDocumentEmbedder(model=str(tiny("llama")), max_length=64)
    shorter.warm_up()
    assert opened() == 2
    for embedder in (shorter, other, text_embedder, text_embedder):
        embedder.close()
    assert opened() == 1
    document_embedder.run([Document(content="still open")])
    document_embedder.close()
    assert opened() == 0


def test_after_close_a_run_warms_up_again(pair):
    embedder, _ = pair
    first = embedder.run("fever")
    embedder.close()
    assert embedder.embedding_backend is None
    assert embedder.run("fever") == first


async def test_async_close_and_run_again(pair, opened):
    embedder, _ = pair
    first = await embedder.run_async("fever")
    await embedder.close_async()
    assert (opened(), embedder.executor) == (0, None)
    assert await embedder.run_async("fever") == first


def test_close_frees_the_weights(pair, new_networks):
    _, embedder = pair
    embedder.warm_up()
    assert new_networks()
    embedder.close()
    assert not new_networks()


async def test_an_executor_that_was_given_is_used_and_left_running(tiny):
    names = []
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
        embedder = BMRetrieverTextEmbedder(model=str(tiny("llama")), progress_bar=False, async_executor=pool)
        run = embedder.run
        embedder.run = lambda *args: (names.append(threading.current_thread().name), run(*args))[1]
        await embedder.run_async("fever")
        await embedder.close_async()
        assert pool.submit(lambda: 1).result() == 1
    assert names == ["mine_0"]


async def test_its_own_executor_has_one_thread_and_is_shut_down(pair):
    embedder, _ = pair
    await embedder.warm_up_async()
    own = embedder.executor
    order, overtaken = [], threading.Event()
    own.submit(lambda: (overtaken.wait(0.2), order.append("first")))
    own.submit(lambda: (order.append("second"), overtaken.set())).result(10)
    assert order == ["first", "second"]
    await embedder.close_async()
    with pytest.raises(RuntimeError, match="shutdown"):
        own.submit(print)


async def test_a_cancelled_call_that_waits_for_the_worker_is_never_run(pair):
    embedder, _ = pair
    embedder.warm_up()
    ran, working, free = [], threading.Event(), threading.Event()
    run = embedder.run
    embedder.run = lambda text, *args: (ran.append(text), working.set(), free.wait(10), run(text, *args))[-1]
    first = asyncio.ensure_future(embedder.run_async("first"))
    await asyncio.to_thread(working.wait, 10)
    queued = [asyncio.ensure_future(embedder.run_async(text)) for text in ("second", "third")]
    await asyncio.sleep(0)
    queued[0].cancel()
    free.set()
    await asyncio.gather(first, queued[1])
    assert queued[0].cancelled()
    assert ran == ["first", "third"]


async def test_a_cancelled_call_ends_after_the_batch_that_it_computes(pair, watch):
    _, embedder = pair
    embedder.warm_up()
    documents = [Document(content=f"{number} fever " * 300) for number in range(40)]  # one fills a batch
    small = BMRetrieverDocumentEmbedder(model=embedder.model, progress_bar=False, batch_size=1)
    expected = small.run(documents[:1])
    batches, computing, cancelled = [], threading.Event(), threading.Event()

    def around(run, lengths):
        batches.append(lengths)
        computing.set()
        assert cancelled.wait(10)
        return run()

    watch(around)
    call = asyncio.ensure_future(small.run_async(documents))
    await asyncio.to_thread(computing.wait, 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    cancelled.set()
    assert await small.run_async(documents[:1]) == expected
    assert len(batches) == 2  # of forty, one was computed; the other one is the second call's
    small.close()


async def test_the_worker_sees_the_callers_context(pair):
    request, seen = contextvars.ContextVar("request"), []
    for embedder, given in zip(pair, ("fever", [Document(content="fever")]), strict=True):
        for name in ("run", "warm_up"):
            function = getattr(embedder, name)
            object.__setattr__(embedder, name, lambda *args, f=function: (seen.append(request.get()), f(*args))[1])
        request.set(f"warm-up of {type(embedder).__name__}")
        await embedder.warm_up_async()
        request.set(f"run of {type(embedder).__name__}")
        await embedder.run_async(given)
    names = [type(embedder).__name__ for embedder in pair]
    assert seen == [f"{what} of {name}" for name in names for what in ("warm-up", "run")]


async def test_errors_reach_the_awaiting_caller(tmp_path):
    embedder = BMRetrieverTextEmbedder(model=str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError, match="is no folder"):
        await embedder.warm_up_async()
    with pytest.raises(FileNotFoundError, match="is no folder"):
        await embedder.run_async("fever")
    await embedder.close_async()


def test_sixteen_threads_on_a_cold_component(pair, opened):
    text_embedder, document_embedder = pair
    with ThreadPoolExecutor(16) as pool:
        queries = list(pool.map(lambda text: text_embedder.run(text)["embedding"], TEXTS))
        chunks = [[Document(content=text) for text in TEXTS[start::16]] for start in range(16)]
        answers = list(pool.map(lambda chunk: document_embedder.run(chunk)["documents"], chunks))
    assert opened() == 1
    assert queries == [text_embedder.run(text)["embedding"] for text in TEXTS]
    for chunk, answer in zip(chunks, answers, strict=True):
        assert answer == document_embedder.run(chunk)["documents"]


async def test_two_hundred_coroutines_on_cold_components(pair):
    text_embedder, document_embedder = pair
    documents = [Document(content=text) for text in TEXTS]
    queries = await asyncio.gather(*(text_embedder.run_async(text) for text in TEXTS))
    answers = await asyncio.gather(*(document_embedder.run_async([document]) for document in documents))
    assert list(queries) == [text_embedder.run(text) for text in TEXTS]
    assert list(answers) == [document_embedder.run([document]) for document in documents]


async def test_a_slow_load_leaves_the_event_loop_free(pair, monkeypatch):
    embedder, _ = pair
    load = BMRetrieverEncoder.from_settings
    loading, loop_is_free = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(settings, progress=False):
        loop.call_soon_threadsafe(loading.set)
        assert loop_is_free.wait(10), "the event loop waits for the model"
        return load(settings, progress)

    async def answer():
        await asyncio.wait_for(loading.wait(), 10)
        loop_is_free.set()

    monkeypatch.setattr(BMRetrieverEncoder, "from_settings", slow)
    await asyncio.gather(answer(), embedder.warm_up_async(), embedder.run_async("fever"))
    assert loop_is_free.is_set()
