"""What every text generator looks like from here: requests in, answers out, in whatever order they come."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bmretriever_integrations.training.synthesis.templates import Message


@dataclass(frozen=True, eq=False)
class Request:
    """One question to a generator. Each stands for itself: two with the same content are two."""

    messages: Sequence[Message]
    seed: int
    opening: str = ""
    """How a right answer begins; for generators that can be made to begin with it."""

    def key(self, settings: Mapping[str, object]) -> str:
        """
        Name the request by its content.

        :param settings: the generator's; another model or temperature is another request.
        :returns: a SHA-256 in hex.
        """
        content = json.dumps(
            [settings, list(self.messages), self.seed, self.opening], sort_keys=True, ensure_ascii=False
        )
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a generator said, and what it took."""

    text: str
    truncated: bool
    """It ran into its limit of tokens."""
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that stays without an answer."""

    reason: str
    """A few words, the same for all failures of the kind."""


class Generator(Protocol):
    """An endpoint, a local model, or the reader's own class."""

    @property
    def name(self) -> str:
        """What the pairs' provenance calls it."""
        ...

    @property
    def settings(self) -> dict[str, object]:
        """Everything that decides an answer besides messages and seed."""
        ...

    def answers(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Answer | Failure]]:
        """
        Answer requests, in the order in which they get ready.

        :param requests: read no faster than they are sent, so that whoever gives them can stop at any time.
        :raises PermissionError: if no further request can succeed, e.g. for a wrong key.
        """
        ...
