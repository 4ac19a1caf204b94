"""A job is what one worker does: calls of its engine, one after another. Jobs are sent between processes and machines."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.versions import OF_VECTORS, versions_of

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder

Progress = Callable[[int], None]
"""Is told how many texts were just embedded; a negative number when their worker was lost and they are embedded again."""
Call = tuple[list[str], Any]
"""The arguments of one call: texts, and their titles or the instruction."""


@dataclass(frozen=True)
class Job:
    """Calls that one worker makes, so that their vectors do not depend on which worker it is."""

    method: Literal["encode_queries", "encode_passages"]
    calls: tuple[Call, ...]
    batch_tokens: int
    """Padded tokens of a batch: which texts share a batch decides the last bits of a vector."""

    @property
    def texts(self) -> int:
        """Number of texts in all calls."""
        return sum(len(texts) for texts, _other in self.calls)

    def run(self, encoder: BMRetrieverEncoder, done: Progress) -> Vectors:
        """
        Make the calls.

        :param encoder: the worker's engine, with the job's token budget.
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
    """What a worker reports of its engine once the model is loaded."""

    width: int
    batch_tokens: int
    identity: dict[str, Any]
    versions: dict[str, str]
    """Versions of the packages that take part in making a vector."""
    pid: int
    """Process id of the worker, on its machine."""


def facts_of(encoder: BMRetrieverEncoder) -> Facts:
    """
    Tell what decides an engine's vectors.

    :param encoder: the engine.
    """
    return Facts(encoder.width, steady_batch_tokens(encoder), encoder.identity(), versions_of(OF_VECTORS), os.getpid())


def steady_batch_tokens(encoder: BMRetrieverEncoder) -> int:
    """
    Choose a token budget that is the same in every run.

    By default an engine's budget follows the memory that happens to be free; on a CPU the upper bound costs little.

    :param encoder: the engine.
    :returns: tokens of a batch.
    """
    from bmretriever_integrations.device import CPU_TOKENS

    free_choice = encoder.settings.max_batch_tokens is None and encoder.device.type == "cpu"
    return CPU_TOKENS if free_choice else encoder.max_batch_tokens
