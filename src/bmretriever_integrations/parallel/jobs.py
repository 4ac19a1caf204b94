"""What one worker is asked to do: calls of its engine, one after another. Travels between processes and machines."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder

Vectors = NDArray[np.float32]
Progress = Callable[[int], None]
"""Takes a number of texts embedded just now; a negative one where their worker was lost and they are embedded again."""
Call = tuple[list[str], Any]
"""Arguments of one call: texts, and their titles or the instruction."""


@dataclass(frozen=True)
class Errand:
    """Calls that one worker makes, so that their vectors do not depend on which worker it is."""

    method: Literal["encode_queries", "encode_passages"]
    calls: tuple[Call, ...]
    batch_tokens: int
    """Padded tokens of a batch: which texts share a batch decides the last bits of a vector."""

    @property
    def texts(self) -> int:
        """How many there are."""
        return sum(len(texts) for texts, _other in self.calls)

    def run(self, encoder: BMRetrieverEncoder, done: Progress) -> Vectors:
        """
        Make the calls.

        :param encoder: the worker's engine, with the errand's budget.
        :param done: told after each call how many texts it took.
        :returns: *Shape:* (n, width) float32, the rows of all calls, in their order.
        """
        parts: list[Vectors] = []
        for texts, other in self.calls:
            parts.append(getattr(encoder, self.method)(texts, other))
            done(len(texts))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


@dataclass(frozen=True)
class Facts:
    """What a worker says of its engine once the model is loaded."""

    width: int
    batch_tokens: int
    identity: dict[str, Any]
    versions: dict[str, str]
    """Of the packages that take part in making a vector."""
    pid: int
    """Of the worker's process, on its machine."""


def facts_of(encoder: BMRetrieverEncoder) -> Facts:
    """
    Tell what decides an engine's vectors.

    :param encoder: the engine.
    """
    return Facts(encoder.width, steady_batch_tokens(encoder), encoder.identity(), versions_here(), os.getpid())


def versions_here() -> dict[str, str]:
    """Name the versions of the packages that take part in making a vector."""
    return {package: version(package) for package in ("tokenizers", "torch", "transformers")}


def steady_batch_tokens(encoder: BMRetrieverEncoder) -> int:
    """
    Choose a token budget that is the same in every run.

    By default an engine's budget follows the memory that happens to be free; on a CPU the upper bound costs little.

    :param encoder: the engine.
    :returns: tokens of a batch.
    """
    from bmretriever_integrations.memory import CPU_TOKENS

    free_choice = encoder.settings.max_batch_tokens is None and encoder.device.type == "cpu"
    return CPU_TOKENS if free_choice else encoder.max_batch_tokens


@runtime_checkable
class PassageEngines(Protocol):
    """One engine or many, as the index sees them: passages go in as errands, and several may be under way at once."""

    @property
    def width(self) -> int:
        """Length of a vector."""

    @property
    def batch_tokens(self) -> int:
        """Padded tokens of a batch that every engine here can hold."""

    @property
    def lanes(self) -> int:
        """Errands that keep every engine busy."""

    def identity(self) -> dict[str, Any]:
        """Everything that decides the vectors."""

    def submit_passages(self, calls: tuple[Call, ...], batch_tokens: int, done: Progress) -> Future[Vectors]:
        """
        Begin to embed passages.

        :param calls: each a list of texts and a list of their titles; one engine makes them all.
        :param batch_tokens: tokens of a batch, exactly.
        :param done: told as texts are embedded, from any thread.
        :returns: their vectors, in order. *Shape:* (n, width) float32
        """


class OneEngine:
    """The engine of this process as :class:`PassageEngines`: what is submitted is embedded before the call returns."""

    lanes = 1

    def __init__(self, encoder: BMRetrieverEncoder) -> None:
        """
        :param encoder: its ``max_batch_tokens`` is set to that of the last errand.
        """
        self._encoder = encoder
        self.width = encoder.width
        self.batch_tokens = steady_batch_tokens(encoder)

    def identity(self) -> dict[str, Any]:
        """See :class:`PassageEngines`."""
        return self._encoder.identity()

    def submit_passages(self, calls: tuple[Call, ...], batch_tokens: int, done: Progress) -> Future[Vectors]:
        """See :class:`PassageEngines`; errors are raised here and now."""
        if self._begun_with != batch_tokens:  # set once, so that a budget halved for lack of memory stays halved
            self._encoder.max_batch_tokens = self._begun_with = batch_tokens
        future: Future[Vectors] = Future()
        future.set_result(Errand("encode_passages", calls, batch_tokens).run(self._encoder, done))
        return future

    _begun_with: int | None = None
