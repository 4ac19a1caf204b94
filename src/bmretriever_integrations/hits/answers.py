"""What was asked and what was found."""

from __future__ import annotations

from dataclasses import dataclass

from bmretriever_integrations.index import Hits


@dataclass(frozen=True)
class Question:
    """One question of the user."""

    id: str
    """The id that its file gives it, else its number, from 1."""
    text: str


@dataclass(frozen=True)
class Answer:
    """What was found for one question."""

    question: Question
    hits: Hits
