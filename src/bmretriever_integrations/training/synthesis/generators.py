"""The interface of text generators: requests -> answers, in the order in which they are ready."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bmretriever_integrations.training.synthesis.templates import Message


@dataclass(frozen=True, eq=False)
class Request:
    """One request to a generator. Two requests with the same content are not equal."""

    messages: Sequence[Message]
    """The prompt."""
    seed: int
    """Seed of the sampling."""
    opening: str = ""
    """How a right answer begins; a local generator can be made to begin with it."""

    def key(self, settings: Mapping[str, object]) -> str:
        """
        Make the key of the request in the ledger.

        :param settings: settings of the generator; another model or temperature gives another key.
        :returns: a SHA-256 in hexadecimal.
        """
        content = json.dumps(
            [settings, list(self.messages), self.seed, self.opening], sort_keys=True, ensure_ascii=False
        )
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a generator said, and the tokens that it took."""

    text: str
    """The answer itself."""
    truncated: bool
    """Whether the limit of tokens cut it off."""
    prompt_tokens: int
    """Number of tokens of the prompt; 0 if the generator does not tell."""
    completion_tokens: int
    """Number of tokens of the answer; 0 if the generator does not tell."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no answer."""

    reason: str
    """A few words, the same for all failures of this kind."""
    detail: str = ""
    """What the server said about this one; without keys and passwords."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class Generator(Protocol):
    """Answers requests: an endpoint, a local model, or a class of your own."""

    @property
    def name(self) -> str:
        """Name of the generator in the source of the pairs."""
        ...

    @property
    def settings(self) -> dict[str, object]:
        """Everything that decides an answer, except messages and seed."""
        ...

    def answers(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Answer | Failure]]:
        """
        Answer requests, in the order in which the answers are ready.

        :param requests: read no faster than they are sent, so that the caller can stop at any time.
        :raises PermissionError: if no further request can succeed, e.g. for a wrong key.
        """
        ...
