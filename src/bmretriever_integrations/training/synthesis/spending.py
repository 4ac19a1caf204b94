"""Tokens and cost of all answers, and the limits at which a run stops."""

from __future__ import annotations

from dataclasses import dataclass


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

    def add(self, prompt_tokens: int, completion_tokens: int) -> None:
        """
        Count one answer.

        :param prompt_tokens: number of prompt tokens, as the generator reports it.
        :param completion_tokens: number of completion tokens, as the generator reports it.
        """
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
