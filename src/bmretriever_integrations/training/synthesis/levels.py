"""The paper's two levels: a query for a given passage, and whole examples for brainstormed tasks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bmretriever_integrations.training.pairs.passages import Passage
from bmretriever_integrations.training.pairs.schema import Pair
from bmretriever_integrations.training.synthesis.answers import (
    QueryAnswer,
    TasksAnswer,
    TripleAnswer,
    Unusable,
    checked_query,
    checked_triple,
    is_copied,
    parse,
)
from bmretriever_integrations.training.synthesis.asking import Asker, Question
from bmretriever_integrations.training.synthesis.generators import Answer
from bmretriever_integrations.training.synthesis.templates import PromptTemplate, Value, load_template

LICENCE = "synthetic"
"""Licence of the generated texts in a pair."""
QUESTIONS_AT_ONCE = 2_000
"""Number of questions in memory together; all their attempts end before the next are asked."""
TASK_WORDS = (6, 60)
"""Fewest and most words of a task's sentence; shorter ones say too little, longer ones are examples."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A pair as the generator wrote it, before repeats and failed round trips are dropped."""

    pair: Pair
    """The pair."""
    query_type: str
    """The query type of its prompt; the report counts by it."""


def write_queries(passages: Sequence[Passage], asker: Asker, *, seed: int, shots: int = 0) -> list[Draft]:
    """
    Let the generator write one query for each passage (instance level).

    :param passages: the passages.
    :param asker: asks the generator.
    :param seed: decides query type, length, clarity and difficulty of each query, and the generator's sampling.
    :param shots: number of worked examples in the prompt.
    :returns: a draft for each passage that got a usable query, in their order.
    """
    template = load_template("instance")
    drafts = []
    for start in range(0, len(passages), QUESTIONS_AT_ONCE):
        chunk = passages[start : start + QUESTIONS_AT_ONCE]
        drawn = [template.draw(seed, passage.id, passage.text) for passage in chunk]
        questions = [_ask_query(template, p, d, seed, shots) for p, d in zip(chunk, drawn, strict=True)]
        for passage, values, query in zip(chunk, drawn, asker.ask(questions), strict=True):
            if query is not None:
                kind = values["query_type"]
                pair = Pair(
                    task=f"synthetic-{kind.name}",
                    instruction=kind.instruction,
                    query=query,
                    positive=passage.text,
                    source=_source(asker, template, f"passage {passage.id}"),
                    licence=f"{LICENCE}; passage: {passage.licence or 'not stated'}",
                )
                drafts.append(Draft(pair, kind.name))
    return drafts


def brainstorm(tasks: int, asker: Asker, *, seed: int) -> list[str]:
    """
    Let the generator think of retrieval tasks (task level, first request).

    :param tasks: number of tasks; fewer are returned if the generator repeats itself.
    :param asker: asks the generator, for twice as many tasks as are wanted, because many are repeats.
    :param seed: decides the areas and the persons who search.
    :returns: different sentences of :data:`TASK_WORDS` words that begin with "Given a".
    :raises ValueError: if tasks is below 1.
    """
    if tasks < 1:
        raise ValueError(f"tasks must be 1 or more, got {tasks}")
    template = load_template("brainstorm")
    questions: list[Question[list[str]]] = []
    expected = 0
    while expected < 2 * tasks:
        drawn = template.draw(seed, len(questions))
        expected += int(drawn["count"].text)
        number = _number(seed, "brainstorm", len(questions))
        questions.append(Question(template.render(drawn), number, template.opening, _read_tasks))
    found: dict[str, str] = {}
    for answer in asker.ask(questions):
        for task in answer or ():
            found.setdefault(" ".join(re.findall(r"\w+", task.lower())), task)
    return list(found.values())[:tasks]


def write_triples(tasks: Sequence[str], count: int, asker: Asker, *, seed: int) -> list[Draft]:
    """
    Let the generator write query, positive and hard negative, one example for each task in turn (task level, second request).

    :param tasks: the brainstormed sentences; they become the pairs' instructions.
    :param count: number of examples to ask for in all.
    :param asker: asks the generator.
    :param seed: decides query type, lengths, clarity and difficulty of each example.
    :returns: a draft for each usable answer.
    """
    template = load_template("triple")
    drafts = []
    for start in range(0, count if tasks else 0, QUESTIONS_AT_ONCE):
        rows = range(start, min(count, start + QUESTIONS_AT_ONCE))
        chosen = [tasks[row % len(tasks)] for row in rows]
        drawn = [template.draw(seed, task, row) for row, task in zip(rows, chosen, strict=True)]
        questions = [
            Question(template.render(d, task=task), _number(seed, task, row), template.opening, _read_triple)
            for row, task, d in zip(rows, chosen, drawn, strict=True)
        ]
        for task, values, triple in zip(chosen, drawn, asker.ask(questions), strict=True):
            if triple is not None:
                pair = Pair(
                    task="synthetic-task-" + hashlib.sha256(task.encode("utf-8")).hexdigest()[:8],
                    instruction=task,
                    query=triple.user_query,
                    positive=triple.positive_document,
                    negatives=(triple.hard_negative_document,),
                    source=_source(asker, template, "no passage"),
                    licence=LICENCE,
                )
                drafts.append(Draft(pair, values["query_type"].text))
    return drafts


def _ask_query(
    template: PromptTemplate, passage: Passage, drawn: dict[str, Value], seed: int, shots: int
) -> Question[str]:
    def read(answer: Answer) -> str:
        query = checked_query(parse(answer, QueryAnswer).query, passage.text)
        if any(is_copied(query, shown) for shown in worked):
            raise Unusable(
                "worked example copied", "The query is that of a worked example; write one for the last passage."
            )
        return query

    worked = [text for value in template.placeholders["query_type"] for text in (value.query, value.passage)]
    messages = template.render(drawn, shots, passage=passage.text)
    return Question(messages, _number(seed, passage.id, passage.text), template.opening, read)


def _read_triple(answer: Answer) -> TripleAnswer:
    return checked_triple(parse(answer, TripleAnswer))


def _read_tasks(answer: Answer) -> list[str]:
    least, most = TASK_WORDS
    tasks = [" ".join(task.split()) for task in parse(answer, TasksAnswer).tasks]
    fit = [task for task in tasks if task.lower().startswith("given a") and least <= len(task.split()) <= most]
    if not fit:
        raise Unusable("no task", 'Every task is one whole sentence that begins with "Given a" or "Given an".')
    return fit


def _number(*seed: object) -> int:
    """Make a seed for the generator's sampling, of 31 bits, which all servers accept."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, seed)).encode("utf-8")).digest()[:4], "big") >> 1


def _source(asker: Asker, template: PromptTemplate, origin: str) -> str:
    return f"{asker.generator_name}; prompt {template.level} {template.version}; {origin}"
