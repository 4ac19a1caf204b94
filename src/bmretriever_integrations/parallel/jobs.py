"""Define a job: calls that one worker makes of its engine, one after another. Jobs are sent between processes and machines."""

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
"""A function that is called with the number of texts that were just embedded. The number is negative when a worker was lost and
its texts must be embedded again."""
Call = tuple[list[str], Any]
"""The arguments of one call: texts, and their titles or the instruction."""


@dataclass(frozen=True)
class Job:
    """Calls that one worker makes, so that their vectors do not depend on which worker it is."""

    method: Literal["encode_queries", "encode_passages"]
    """The engine's method."""
    calls: tuple[Call, ...]
    """The arguments of each call."""
    batch_tokens: int
    """Tokens of a batch. They are part of the job because the last bits of a vector depend on the other texts of its batch."""

    @property
    def texts(self) -> int:
        """Number of texts in all calls."""
        return sum(len(texts) for texts, _other in self.calls)

    def run(self, encoder: BMRetrieverEncoder, done: Progress) -> Vectors:
        """
        Make the calls.

        :param encoder: the worker's engine, with the job's token budget.
        :param done: a function that is called after each call with its number of texts.
        :returns: the rows of all calls, in the same order. *Shape:* (n, width) float32
        """
        parts: list[Vectors] = []
        for texts, other in self.calls:
            parts.append(getattr(encoder, self.method)(texts, other))
            done(len(texts))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


@dataclass(frozen=True)
class Facts:
    """The facts that a worker reports about its engine when the model is loaded."""

    width: int
    """Length of a vector."""
    batch_tokens: int
    """Tokens of a batch."""
    identity: dict[str, Any]
    """The engine's ``identity()``."""
    versions: dict[str, str]
    """Versions of the packages that decide the vectors."""
    pid: int
    """Process id of the worker on its machine."""


def facts_of(encoder: BMRetrieverEncoder) -> Facts:
    """
    Collect the facts about an engine.

    :param encoder: the engine.
    """
    return Facts(encoder.width, steady_batch_tokens(encoder), encoder.identity(), versions_of(OF_VECTORS), os.getpid())


def steady_batch_tokens(encoder: BMRetrieverEncoder) -> int:
    """
    Choose a token budget that is the same in every run.

    By default an engine's budget depends on the free memory. On a CPU this function takes the upper bound instead, because a
    batch of so many tokens needs little memory.

    :param encoder: the engine.
    :returns: tokens of a batch.
    """
    from bmretriever_integrations.device import CPU_TOKENS

    is_default = encoder.settings.max_batch_tokens is None and encoder.device.type == "cpu"
    return CPU_TOKENS if is_default else encoder.max_batch_tokens
