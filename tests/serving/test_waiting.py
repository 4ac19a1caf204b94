"""Queries come first and passages have their turn, requests take turns, and what nobody waits for has no place."""

from __future__ import annotations

import asyncio

import pytest

from bmretriever_integrations.serving.waiting import BATCH_TEXTS, QUERIES_FIRST, Full, Piece, Waiting

ROOM = 10_000
"""More tokens than the pieces of a batch have."""


def piece(kind="passage", *, texts=1, tokens=10, instruction=None):
    return Piece(kind, instruction, ["text"] * texts, tokens, asyncio.get_running_loop().create_future())


async def test_queries_come_first_and_passages_have_their_turn():
    waiting = Waiting(10_000)
    waiting.add([piece("passage", texts=BATCH_TEXTS) for _ in range(3)])
    waiting.add([piece("query", texts=BATCH_TEXTS) for _ in range(2 * QUERIES_FIRST)])
    kinds = [waiting.take(ROOM)[0].kind for _ in range(2 * QUERIES_FIRST + 3)]
    turn = ["query"] * QUERIES_FIRST + ["passage"]
    assert kinds == [*turn, *turn, "passage"]


async def test_requests_take_turns():
    waiting = Waiting(1000)
    long, short = [piece(texts=BATCH_TEXTS) for _ in range(3)], [piece(texts=BATCH_TEXTS)]
    waiting.add(long)
    waiting.add(short)
    assert [waiting.take(ROOM) for _ in range(4)] == [[long[0]], short, [long[1]], [long[2]]]


async def test_small_requests_are_taken_together_as_far_as_they_fit():
    waiting = Waiting(1000)
    pieces = [piece() for _ in range(BATCH_TEXTS + 3)]
    for each in pieces:
        waiting.add([each])
    assert waiting.take(ROOM) == pieces[:BATCH_TEXTS]
    assert waiting.take(25) == pieces[BATCH_TEXTS : BATCH_TEXTS + 2]  # of 10 tokens each
    assert waiting.take(25) == pieces[BATCH_TEXTS + 2 :]
    large, after = piece(tokens=99), piece()
    waiting.add([large])
    waiting.add([after])
    assert waiting.take(25) == [large]  # alone, though it has more
    assert waiting.take(25) == [after]


async def test_a_piece_that_does_not_fit_lets_others_pass_and_keeps_its_turn():
    waiting = Waiting(1000)
    first, large, last = piece(), piece(tokens=20), piece()
    for each in (first, large, last):
        waiting.add([each])
    assert waiting.take(25) == [first, last]
    waiting.add([later := piece()])
    assert waiting.take(25) == [large]
    assert waiting.take(25) == [later]


async def test_instructions_are_not_mixed():
    waiting = Waiting(1000)
    pieces = [piece("query", instruction=task) for task in ("a", "b", "a", "b", "a")]
    for each in pieces:
        waiting.add([each])
    assert waiting.take(ROOM) == pieces[::2]
    assert waiting.take(ROOM) == pieces[1::2]


async def test_the_places_are_bounded():
    waiting = Waiting(10)
    waiting.add([piece(texts=6), piece(texts=30)])  # alone it is taken, however many texts it has
    with pytest.raises(Full, match="36 texts are waiting already, of at most 10"):
        waiting.add([piece()])
    assert (waiting.texts, waiting.tokens) == (36, 20)
    waiting.take(ROOM)
    waiting.take(ROOM)
    assert (waiting.texts, waiting.tokens) == (0, 0)
    waiting.add([piece(texts=10)])
    with pytest.raises(Full):
        waiting.add([piece()])


async def test_what_nobody_waits_for_is_left_out():
    waiting = Waiting(10)
    gone, wanted = piece(), piece()
    waiting.add([gone])
    waiting.add([wanted])
    gone.result.cancel()
    assert waiting.take(ROOM) == [wanted]
    assert waiting.texts == 0


async def test_tidying_frees_places_before_they_have_their_turn():
    waiting = Waiting(10)
    request, other = [piece("query", texts=3), piece("query", texts=3)], [piece(texts=2)]
    waiting.add(request)
    waiting.add(other)
    for each in request:
        each.result.cancel()
    waiting.tidy()
    assert (waiting.texts, waiting.tokens) == (2, 10)
    assert waiting.take(ROOM) == other


async def test_closing_lets_what_waits_be_taken_and_nothing_further():
    waiting = Waiting(10)
    waiting.add([last := piece()])
    waiting.close()
    with pytest.raises(Full, match="the server is stopping"):
        waiting.add([piece()])
    assert waiting.take(ROOM) == [last]
    assert waiting.take(ROOM) is None


async def test_taking_waits_for_the_next_request_or_the_end():
    waiting = Waiting(10)
    taking = asyncio.create_task(asyncio.to_thread(waiting.take, ROOM))
    await asyncio.sleep(0.01)
    assert not taking.done()
    waiting.add([late := piece()])
    assert await taking == [late]
    taking = asyncio.create_task(asyncio.to_thread(waiting.take, ROOM))
    waiting.close()
    assert await taking is None
