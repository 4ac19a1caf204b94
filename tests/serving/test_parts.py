"""A request is cut into parts that batches hold; who stops early gives the rest of its places back."""

from __future__ import annotations

import asyncio
import weakref

import numpy as np
import pytest

from bmretriever_integrations.serving.admission import Admitted
from bmretriever_integrations.serving.parts import Parts, deliver, pieces_of
from bmretriever_integrations.serving.waiting import BATCH_TEXTS, Waiting


def cut(lengths, most_tokens):
    texts = [f"text {number}" for number in range(len(lengths))]
    pieces = list(pieces_of(Admitted("passage", None, texts, lengths, 50), most_tokens))
    assert [text for piece in pieces for text in piece.texts] == texts
    return pieces


async def waiting_parts(lengths=(10,) * 4, most_tokens=20):
    waiting = Waiting(1000)
    waiting.add(pieces := cut(lengths, most_tokens))
    return waiting, pieces, Parts(pieces, waiting)


def vectors(number, rows=2):
    return np.full((rows, 3), number, np.float32)


async def test_parts_have_what_a_batch_has():
    assert [len(piece.texts) for piece in cut([10] * (2 * BATCH_TEXTS + 1), 100_000)] == [BATCH_TEXTS, BATCH_TEXTS, 1]
    pieces = cut([10, 10, 10, 70, 5], 25)
    assert [len(piece.texts) for piece in pieces] == [2, 1, 1, 1]
    assert [piece.tokens for piece in pieces] == [20, 10, 50, 5]  # of the fourth text the model reads 50


async def test_vectors_are_given_out_in_order_and_not_kept():
    waiting, pieces, parts = await waiting_parts()
    assert [waiting.take(20), waiting.take(20)] == [pieces[:1], pieces[1:]]
    deliver(pieces[1:], [vectors(1)])
    deliver(pieces[:1], [vectors(0)])
    first = await anext(parts)
    assert first[0, 0] == 0
    kept = weakref.ref(first)
    del first, pieces[0]
    assert (await anext(parts))[0, 0] == 1
    assert kept() is None
    with pytest.raises(StopAsyncIteration):
        await anext(parts)


async def test_a_part_that_fails_ends_the_request():
    waiting, pieces, parts = await waiting_parts()
    assert waiting.take(20) == pieces[:1]
    deliver(pieces[:1], [ValueError("this text")])
    with pytest.raises(ValueError, match="this text"):
        await anext(parts)
    assert pieces[1].result.cancelled()
    assert waiting.texts == 0


async def test_closing_gives_the_places_back_and_ends_who_waits():
    waiting, pieces, parts = await waiting_parts()
    waits = asyncio.create_task(anext(parts))
    await asyncio.sleep(0)
    parts.close()
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert waiting.texts == 0
    deliver(pieces, [vectors(0), vectors(1)])  # a batch that was running ends
    with pytest.raises(asyncio.CancelledError):
        await anext(parts)


async def test_closing_between_a_result_and_who_waits_for_it():
    _, pieces, parts = await waiting_parts()
    waits = asyncio.create_task(anext(parts))
    await asyncio.sleep(0)
    deliver(pieces[:1], [vectors(0)])
    parts.close()
    with pytest.raises(asyncio.CancelledError):
        await waits


async def test_an_error_that_nobody_asks_for_is_not_reported_as_lost():
    lost = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: lost.append(context))
    _, pieces, parts = await waiting_parts()
    deliver(pieces, [ValueError("one"), ValueError("two")])
    parts.close()
    del pieces, parts
    await asyncio.sleep(0)
    assert lost == []
