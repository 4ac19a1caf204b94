"""What is not among the hits of an answer, and why there may be none."""

from __future__ import annotations

from dataclasses import dataclass

from bmretriever_integrations.hits.answers import Answer


@dataclass(frozen=True)
class Advice:
    """How to ask for more, in the words of the way in: a command has options, a request has keys."""

    hybrid: str
    """What compares words and vectors, such as ``--mode hybrid``. It is the subject of "also finds other words for the same"."""
    include_retracted: str
    """What shows retracted papers, such as ``--include-retracted``. It ends the sentence "2 retracted papers left out: ..."."""


def remarks(answer: Answer, records: int, filtered: bool, mode: str | None, advice: Advice) -> list[str]:
    """
    Say what is not among the hits, and why there may be none.

    :param answer: the question and its hits.
    :param records: the number of records in the index.
    :param filtered: whether the user left out records by filters.
    :param mode: the way of searching, None for the usual one.
    :param advice: how the user asks for more.
    :returns: lines, none of them if there is nothing to say.
    """
    left_out = answer.hits.retracted_left_out
    lines = []
    if not answer.hits:
        if not records:
            reason = "the index is empty"
        elif left_out:
            reason = "those that fit were retracted"
        elif filtered:
            reason = f"none of {records:,} passes the filters{' and holds a word of the question' * (mode == 'text')}"
        else:
            reason = f"none holds a word of the question; {advice.hybrid} also finds other words for the same"
        lines.append(f"no record found: {reason}")
    if left_out:
        lines.append(f"{left_out:,} retracted paper{'s' * (left_out > 1)} left out: {advice.include_retracted}")
    return lines
