"""The texts that wait to be embedded: which of them are embedded next, together."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.serving.names import Kind

BATCH_TEXTS = 64
"""The most texts of a batch; the engine tokenizes so many before it computes the first (``WINDOWS`` in encoder/tokens.py)."""
QUERIES_FIRST = 8
"""After so many batches of queries, passages that wait have their turn, so that they cannot wait for ever."""


@dataclass(eq=False)
class Piece:
    """Some texts of one request."""

    kind: Kind
    instruction: str | None
    """The sentence that says the task of queries; None for passages."""
    texts: Sequence[str]
    tokens: int
    """Tokens that the model reads of all of them."""
    result: asyncio.Future[Vectors] = field(repr=False)
    """*Shape:* (texts, width) float32, not normalised"""
    lengths: Sequence[int] = ()
    """Tokens of each text's sequence before it was cut, once it is embedded."""


class Full(Exception):
    """There is no place for the texts of a request."""


class _Line:
    """The requests of one kind, each with the pieces of it that wait. Requests take turns."""

    def __init__(self) -> None:
        self._requests: deque[deque[Piece]] = deque()

    def add(self, pieces: Iterable[Piece]) -> None:
        self._requests.append(deque(pieces))

    def batch(self, tokens: int) -> list[Piece]:
        """Take a piece and those with the same instruction that fit beside it."""
        taken: list[Piece] = []
        skipped: list[deque[Piece]] = []
        texts, again = 0, deque[deque[Piece]]()
        while self._requests and texts < BATCH_TEXTS and tokens > 0:
            request = self._requests.popleft()
            piece = request[0]
            if taken and (
                piece.instruction != taken[0].instruction
                or piece.tokens > tokens
                or texts + len(piece.texts) > BATCH_TEXTS
            ):
                skipped.append(request)
                continue
            request.popleft()
            taken.append(piece)
            texts, tokens = texts + len(piece.texts), tokens - piece.tokens
            if request:
                again.append(request)
        self._requests.extendleft(reversed(skipped))
        self._requests.extend(again)
        return taken

    def unwanted(self) -> list[Piece]:
        """Take out the pieces that nobody waits for any more."""
        gone = [piece for request in self._requests for piece in request if piece.result.done()]
        if gone:
            wanted = (deque(piece for piece in request if not piece.result.done()) for request in self._requests)
            self._requests = deque(request for request in wanted if request)
        return gone

    def __bool__(self) -> bool:
        return bool(self._requests)


class Waiting:
    """A bounded queue. Requests are added by the event loop and taken by the thread that embeds them."""

    def __init__(self, most_texts: int) -> None:
        """
        :param most_texts: the texts that may wait.
        """
        self._most = most_texts
        self._change = threading.Condition()
        self._lines: dict[Kind, _Line] = {"query": _Line(), "passage": _Line()}
        self._queries_in_a_row = 0
        self._closed = False
        self.texts = 0
        """Texts that wait now."""
        self.tokens = 0
        """Their tokens."""

    def add(self, pieces: Sequence[Piece]) -> None:
        """
        Let the pieces of one request wait.

        A request of more texts than may wait at all is taken when nothing waits.

        :param pieces: at least one, all of one kind.
        :raises Full: if there is no place, or the server stops.
        """
        texts = sum(len(piece.texts) for piece in pieces)
        with self._change:
            if self._closed:
                raise Full("the server is stopping")
            if self.texts and self.texts + texts > self._most:
                raise Full(f"{self.texts:,} texts are waiting already, of at most {self._most:,}")
            self._count(pieces, 1)
            self._lines[pieces[0].kind].add(pieces)
            self._change.notify()

    def take(self, tokens: int) -> list[Piece] | None:
        """
        Wait for the next batch. Pieces that nobody waits for any more are left out.

        :param tokens: the most tokens of a batch that has more than one piece.
        :returns: pieces of one kind with one instruction; None when the queue is closed and empty.
        """
        with self._change:
            while True:
                while not any(self._lines.values()):
                    if self._closed:
                        return None
                    self._change.wait()
                batch = self._lines[self._next()].batch(tokens)
                self._count(batch, -1)
                if wanted := [piece for piece in batch if not piece.result.done()]:
                    return wanted

    def tidy(self) -> None:
        """Free the places of pieces that nobody waits for any more; their results are cancelled."""
        with self._change:
            for line in self._lines.values():
                self._count(line.unwanted(), -1)

    def close(self) -> None:
        """Take no further requests; what waits is still taken."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def _next(self) -> Kind:
        queries, passages = self._lines["query"], self._lines["passage"]
        if queries and not (passages and self._queries_in_a_row >= QUERIES_FIRST):
            self._queries_in_a_row += 1
            return "query"
        self._queries_in_a_row = 0
        return "passage"

    def _count(self, pieces: Sequence[Piece], sign: int) -> None:
        self.texts += sign * sum(len(piece.texts) for piece in pieces)
        self.tokens += sign * sum(piece.tokens for piece in pieces)
