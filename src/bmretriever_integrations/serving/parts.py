"""A request in parts: each is embedded in one batch, and given out while later ones wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.serving.admission import Admitted
from bmretriever_integrations.serving.waiting import BATCH_TEXTS, Piece, Waiting


def pieces_of(admitted: Admitted, most_tokens: int) -> Iterator[Piece]:
    """
    Cut a request into parts that a batch holds, so that others need not wait for the whole of it.

    :param admitted: the texts.
    :param most_tokens: the tokens of a batch; a longer text is a part of its own.
    """
    loop = asyncio.get_running_loop()
    tokens = admitted.tokens
    start = 0
    while start < len(tokens):
        end, total = start, 0
        while end < len(tokens) and end - start < BATCH_TEXTS and (end == start or total + tokens[end] <= most_tokens):
            total, end = total + tokens[end], end + 1
        yield Piece(admitted.kind, admitted.instruction, admitted.texts[start:end], total, loop.create_future())
        start = end


def deliver(batch: Sequence[Piece], results: Sequence[Vectors | Exception]) -> None:
    """
    Hand over what a batch gave; the event loop calls this.

    :param batch: the parts of requests that were embedded together.
    :param results: the vectors of each, or why there are none.
    """
    for piece, result in zip(batch, results, strict=True):
        if piece.result.done():
            continue
        if isinstance(result, Exception):
            piece.result.set_exception(result)
        else:
            piece.result.set_result(result)


class Parts:
    """
    The vectors of one request, part after part in the order of its texts: *Shape:* (texts of a part, width) float32.

    A part is given out once and not kept. Who stops before the end calls :meth:`close`.
    """

    def __init__(self, pieces: Sequence[Piece], waiting: Waiting) -> None:
        """
        :param pieces: the request, whose pieces wait.
        :param waiting: where they wait.
        """
        self._pieces, self._waiting = deque(pieces), waiting
        self.lengths: list[int] = []
        """Tokens of each sequence that was given out, before it was cut."""
        self._closed = False

    def __aiter__(self) -> Parts:
        return self

    async def __anext__(self) -> Vectors:
        self._check_open()
        if not self._pieces:
            raise StopAsyncIteration
        try:
            vectors = await self._pieces[0].result
        except BaseException:  # the client is gone, or a text cannot be embedded: nobody wants the rest
            self.close()
            raise
        self._check_open()
        self.lengths += self._pieces.popleft().lengths
        return vectors

    def _check_open(self) -> None:
        """End the request that waits, as the cancelled result of a part does."""
        if self._closed:
            raise asyncio.CancelledError("the vectors are not wanted any more")

    def close(self) -> None:
        """Give back the places of what was not given out; whoever waits for it is cancelled."""
        self._closed = True
        for piece in self._pieces:
            piece.result.cancel()
            if not piece.result.cancelled():
                piece.result.exception()  # else asyncio says that nobody looked at it
        if self._pieces:
            self._waiting.tidy()
        self._pieces.clear()
