"""Tokens and money: counted from every answer, shown while it runs, and a stop before they get out of hand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Spending:
    """What the answers took, those of earlier runs of the same ledger included."""

    prompt_price: float = 0.0
    """Per million prompt tokens."""
    completion_price: float = 0.0
    """Per million completion tokens, in the same currency."""
    max_tokens: int | None = None
    """Stop asking at so many tokens, prompt and completion together."""
    max_cost: float | None = None
    """Stop asking at this cost."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    stopped: bool = False
    """A limit was met and something was left unasked."""

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
        """Prompt and completion tokens."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def cost(self) -> float:
        """In the currency of the prices."""
        return (self.prompt_tokens * self.prompt_price + self.completion_tokens * self.completion_price) / 1e6

    @property
    def exhausted(self) -> bool:
        """Whether a limit is met. Requests in flight at that moment still come in on top."""
        over_tokens = self.max_tokens is not None and self.tokens >= self.max_tokens
        return over_tokens or (self.max_cost is not None and self.cost >= self.max_cost)

    def add(self, prompt_tokens: int, completion_tokens: int) -> None:
        """
        Count one answer.

        :param prompt_tokens: as the generator reported them.
        :param completion_tokens: likewise.
        """
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
