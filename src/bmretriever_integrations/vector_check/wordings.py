"""List the prompts that a text may have been given, right and wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bmretriever_integrations.prompts import TASK_INSTRUCTIONS, passage_prompt, query_prompt
from bmretriever_integrations.vector_check.reading import Text

Role = Literal["passages", "queries"]


@dataclass(frozen=True)
class Wording:
    """A way to make a prompt of a text."""

    mistake: str | None
    """What is wrong with it, in a few words; None for the right one."""
    write: Callable[[Text], str]
    """Makes the prompt."""


def wordings(role: Role, instruction: str) -> list[Wording]:
    """
    List the ways to make a prompt, the right one first.

    :param role: whether the texts are passages or queries.
    :param instruction: the instruction of queries, a sentence.
    """
    return _of_passages(instruction) if role == "passages" else _of_queries(instruction)


def _of_passages(instruction: str) -> list[Wording]:
    return [
        Wording(None, lambda text: passage_prompt(text.text, text.title)),
        Wording("title left out", lambda text: passage_prompt(text.text)),
        Wording("text left out", lambda text: passage_prompt(text.title or text.text)),
        Wording("title and text joined by a line break", lambda text: passage_prompt(_joined(text, "\n"))),
        Wording("title and text joined by a full stop", lambda text: passage_prompt(_joined(text, ". "))),
        Wording("no space after `passage:`", lambda text: passage_prompt(_joined(text, " ")).replace(": ", ":", 1)),
        Wording("LlamaIndex's metadata template", lambda text: passage_prompt(_metadata(text))),
        Wording("no template", lambda text: _joined(text, " ")),
        Wording("no template, title left out", lambda text: text.text),
        Wording("no template, title and text joined by a line break", lambda text: _joined(text, "\n")),
        Wording("no template, LlamaIndex's metadata template", _metadata),
        Wording("query template on passages", lambda text: query_prompt(instruction, _joined(text, " "))),
        Wording("query template on passages, title left out", lambda text: query_prompt(instruction, text.text)),
        Wording(
            "query template with the obsolete `Instruct: ` on passages",
            lambda text: f"Instruct: {query_prompt(instruction, _joined(text, ' '))}",
        ),
    ]


def _of_queries(instruction: str) -> list[Wording]:
    others: dict[str, str] = {}  # several tasks have one sentence; the first of them names it
    for key, sentence in TASK_INSTRUCTIONS.items():
        if sentence != instruction:
            others.setdefault(sentence, key)
    return [
        Wording(None, lambda text: query_prompt(instruction, text.text)),
        Wording("obsolete `Instruct: ` prefix", lambda text: f"Instruct: {query_prompt(instruction, text.text)}"),
        Wording("passage template on queries", lambda text: passage_prompt(text.text)),
        Wording("no template", lambda text: text.text),
        Wording("no `Query: ` after the instruction", lambda text: f"{instruction} {text.text}"),
        Wording("no instruction before `Query: `", lambda text: f"Query: {text.text}"),
        *(_of_task(key, sentence) for sentence, key in others.items()),
    ]


def _of_task(key: str, sentence: str) -> Wording:
    return Wording(f"instruction of the task {key}", lambda text: query_prompt(sentence, text.text))


def _joined(text: Text, between: str) -> str:
    return between.join(part for part in (text.title, text.text) if part).strip()


def _metadata(text: Text) -> str:
    return f"title: {text.title}\n\n{text.text}" if text.title else text.text
