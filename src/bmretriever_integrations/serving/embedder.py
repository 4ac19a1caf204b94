"""Embeds the texts of all requests with one engine: those that wait at the same time are embedded together."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from bmretriever_integrations.encoder import BMRetrieverEncoder
from bmretriever_integrations.encoder.vectors import Vectors, finish
from bmretriever_integrations.prompts import passage_prompt, query_prompt
from bmretriever_integrations.serving.admission import Admission, Admitted
from bmretriever_integrations.serving.counting import CountingTokenizer
from bmretriever_integrations.serving.errors import overloaded
from bmretriever_integrations.serving.names import Kind
from bmretriever_integrations.serving.parts import Parts, deliver, pieces_of
from bmretriever_integrations.serving.settings import Limits
from bmretriever_integrations.serving.waiting import Full, Piece, Waiting

logger = logging.getLogger(__name__)

SLOWEST_RETRY = 60
"""The most seconds after which a client is told to come again."""
FIRST_RATE = 2_000.0
"""Tokens a second that are assumed until a batch was measured: less than the smallest model does on two cores."""


@dataclass(frozen=True)
class Ran:
    """A batch that was embedded."""

    kind: Kind
    texts: int
    tokens: int
    requests: int
    """Pieces of requests in it."""
    seconds: float


class Embedder:
    """
    The one engine of the server. A thread of its own embeds; coroutines wait for it.

    The vectors are not normalised and have their whole width; :meth:`finished` does what a request asks for.
    """

    def __init__(
        self, encoder: BMRetrieverEncoder, limits: Limits, on_batch: Callable[[Ran], object] = lambda _ran: None
    ) -> None:
        """
        :param encoder: the engine.
        :param limits: the bounds of requests.
        :param on_batch: is called after each batch, on the thread that embeds.
        """
        self.encoder = encoder
        self.admission = Admission(encoder, limits)
        self.waiting = Waiting(limits.waiting)
        self.on_batch = on_batch
        self._engine = encoder.view(progress=False, max_batch_tokens=encoder.max_batch_tokens, normalize=False)
        self._engine.tokenizer = self._tokenizer = CountingTokenizer(encoder.tokenizer)
        self._rate = FIRST_RATE
        self._thread = threading.Thread(target=self._work, name="bmretriever-embedder", daemon=True)

    def start(self) -> None:
        """Start the thread, after the work for which the first query would wait otherwise."""
        self._engine.warm_up()
        self._thread.start()

    async def close(self) -> None:
        """Embed what waits, and end the thread. The engine itself is left open."""
        self.waiting.close()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    async def embed(self, kind: Kind, texts: Sequence[str], instruction: str | None = None) -> Vectors:
        """
        Embed the texts of a request.

        :param kind: whether they are queries or passages.
        :param texts: the texts.
        :param instruction: the task of queries: a task key or a sentence; None takes the engine's own.
        :returns: *Shape:* (texts, width) float32
        :raises ApiError: if the texts are refused, or too many wait.
        """
        return await self.whole(await self.admission.check(kind, texts, instruction))

    async def whole(self, admitted: Admitted) -> Vectors:
        """
        Embed texts that were looked at before.

        :param admitted: the texts.
        :returns: *Shape:* (texts, width) float32
        :raises ApiError: if too many wait.
        """
        with closing(self.parts(admitted)) as parts:
            vectors = [part async for part in parts]
        return vectors[0] if len(vectors) == 1 else np.concatenate(vectors)

    def parts(self, admitted: Admitted) -> Parts:
        """
        Embed texts, and give out the vectors of the first ones while later ones wait.

        :param admitted: the texts. They take their places at once, before the first vectors are asked for.
        :raises ApiError: at once, if too many wait.
        """
        pieces = list(pieces_of(admitted, self._engine.max_batch_tokens))
        try:
            self.waiting.add(pieces)
        except Full as error:
            raise overloaded(str(error), self.retry_after()) from None
        return Parts(pieces, self.waiting)

    def retry_after(self) -> int:
        """Return after how many seconds what waits now will be embedded."""
        return max(1, min(SLOWEST_RETRY, math.ceil(self.waiting.tokens / self._rate)))

    def finished(self, vectors: Vectors, dimensions: int | None = None, normalize: bool | None = None) -> Vectors:
        """
        Bring vectors into the form that a request asks for, as an engine with these settings would give them.

        :param vectors: *Shape:* (texts, width) float32
        :param dimensions: keep so many leading dimensions; None keeps all.
        :param normalize: scale to length 1; None takes the engine's setting.
        :returns: *Shape:* (texts, dimensions) float32
        """
        kept = vectors if dimensions is None else vectors[:, :dimensions]
        if self.encoder.normalize if normalize is None else normalize:
            return finish(np.array(kept), normalize=True)
        return np.ascontiguousarray(kept)  # the engine has looked whether all numbers are finite

    def _work(self) -> None:
        while (batch := self.waiting.take(self._engine.max_batch_tokens)) is not None:
            started = time.perf_counter()
            results = self._embedded(batch)
            seconds = time.perf_counter() - started
            tokens = sum(piece.tokens for piece in batch)
            self._rate += 0.2 * (tokens / max(seconds, 1e-6) - self._rate)
            texts = sum(len(piece.texts) for piece in batch)
            try:
                self.on_batch(Ran(batch[0].kind, texts, tokens, len(batch), seconds))
            except Exception:  # without this thread no request is answered any more
                logger.exception("a batch could not be counted")
            batch[0].result.get_loop().call_soon_threadsafe(deliver, batch, results)

    def _embedded(self, batch: Sequence[Piece]) -> list[Vectors | Exception]:
        """Embed a batch; after an error each piece alone, so that only those requests fail which cannot be answered."""
        try:
            vectors = self._run(batch)
        except Exception as error:
            if len(batch) == 1:
                return [error]
            return [self._embedded([piece])[0] for piece in batch]
        ends = np.cumsum([len(piece.texts) for piece in batch])
        return list(np.split(vectors, ends[:-1]))

    def _run(self, batch: Sequence[Piece]) -> Vectors:
        texts, task = [text for piece in batch for text in piece.texts], batch[0].instruction
        vectors = self._engine.encode_passages(texts) if task is None else self._engine.encode_queries(texts, task)
        for piece in batch:
            prompts = [passage_prompt(text) if task is None else query_prompt(task, text) for text in piece.texts]
            piece.lengths = self._tokenizer.counted(prompts)
        return vectors
