"""Tokens and cost of all answers, and the limits at which a run stops."""

from __future__ import annotations

from dataclasses import dataclass

from bmretriever_integrations.training.synthesis.generators import Answer, Request

BYTES_PER_TOKEN = 3
MESSAGE_TOKENS = 4
"""Tokens that a chat template adds to a message."""


@dataclass
class Spending:
    """Tokens and cost of all answers in the ledger that are used, those of earlier runs included."""

    prompt_price: float = 0.0
    """Price of a million prompt tokens."""
    completion_price: float = 0.0
    """Price of a million completion tokens, in the same currency."""
    max_tokens: int | None = None
    """Number of tokens, prompt and completion together, at which no further request is sent; None sets no limit."""
    max_cost: float | None = None
    """Cost at which no further request is sent; None sets no limit."""
    prompt_tokens: int = 0
    """Number of prompt tokens so far."""
    completion_tokens: int = 0
    """Number of completion tokens so far."""
    stopped: bool = False
    """Whether a limit was met and a request was not sent."""
    estimated: int = 0
    """Number of those tokens that were estimated, because the generator does not tell how many it took."""

    def __post_init__(self) -> None:
        if self.prompt_price < 0 or self.completion_price < 0:
            raise ValueError(f"prices must be 0 or more, got {self.prompt_price} and {self.completion_price}")
        for name in ("max_tokens", "max_cost"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise ValueError(f"{name} must be above 0, got {limit}")
        if self.max_cost is not None and not self.prompt_price and not self.completion_price:
            raise ValueError("a cost limit needs prices: without them the cost stays 0 and the limit is never met")

    @property
    def tokens(self) -> int:
        """Return the number of prompt and completion tokens."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def cost(self) -> float:
        """Return the cost so far, in the currency of the prices."""
        return (self.prompt_tokens * self.prompt_price + self.completion_tokens * self.completion_price) / 1e6

    @property
    def exhausted(self) -> bool:
        """Tell whether a limit is met. Answers to requests that are sent already are still added."""
        over_tokens = self.max_tokens is not None and self.tokens >= self.max_tokens
        return over_tokens or (self.max_cost is not None and self.cost >= self.max_cost)

    def add(self, request: Request, answer: Answer) -> None:
        """
        Count one answer. What the generator does not tell is estimated, so that limits hold all the same.

        :param request: what was asked.
        :param answer: what came, with the generator's numbers of tokens, each 0 if it does not tell.
        """
        asked = sum(estimate(message["content"]) + MESSAGE_TOKENS for message in request.messages)
        said = estimate(answer.text)
        self.estimated += (0 if answer.prompt_tokens else asked) + (0 if answer.completion_tokens else said)
        self.prompt_tokens += answer.prompt_tokens or asked
        self.completion_tokens += answer.completion_tokens or said


def estimate(text: str) -> int:
    """
    Estimate a number of tokens: one for three bytes. English text has about four bytes a token, so that limits are met early
    rather than late.

    :param text: any text.
    """
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)
