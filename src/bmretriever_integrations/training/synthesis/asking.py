"""Questions -> usable answers: from the ledger, else from the generator, which is asked again if an answer is unusable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, NoReturn, TypeVar

from tqdm import tqdm

from bmretriever_integrations.training.synthesis.answers import Unusable
from bmretriever_integrations.training.synthesis.generators import Answer, Failure, Generator, Request
from bmretriever_integrations.training.synthesis.ledger import Ledger
from bmretriever_integrations.training.synthesis.spending import Spending
from bmretriever_integrations.training.synthesis.templates import Message

EXAMPLES = 20
"""Most unusable answers that the report shows; all are counted."""

FAILURES_IN_A_ROW = 20
"""A run ends after so many failures without an answer between them: the server is down, or a setting is wrong."""
NO_BUDGET = "limit met before it could be asked again"
"""Reason of questions that are given up because a limit of tokens or cost was met."""

Usable_co = TypeVar("Usable_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Question(Generic[Usable_co]):
    """What the generator is asked, and how its answer is read."""

    messages: Sequence[Message]
    """The prompt."""
    seed: int
    """Seed of the generator's sampling."""
    opening: str
    """How a right answer begins."""
    read: Callable[[Answer], Usable_co]
    """Function that returns the content of an answer, or raises :class:`~.answers.Unusable`."""


@dataclass
class Asked:
    """Counts of questions, requests and answers."""

    questions: int = 0
    """Number of questions asked; a question that was asked again counts once."""
    requests: int = 0
    """Number of requests that this run sent to the generator."""
    remembered: int = 0
    """Number of answers that were found in the ledger."""
    usable_at: Counter[int] = field(default_factory=Counter)
    """Attempt, from 1 -> number of questions whose answer was usable at this attempt."""
    unusable: Counter[str] = field(default_factory=Counter)
    """Reason of the last attempt -> number of questions given up."""
    examples: list[dict[str, str]] = field(default_factory=list)
    """Reason of the first :data:`EXAMPLES` questions that were given up, and the answer, or what the server said."""


class Asker:
    """Asks a generator questions and counts the results."""

    def __init__(
        self, generator: Generator, ledger: Ledger, spending: Spending, *, attempts: int = 3, progress: bool = False
    ) -> None:
        """
        :param generator: gives the answers.
        :param ledger: keeps all answers; new ones are written to it when they arrive.
        :param spending: prices and limits; counts the tokens of the answers.
        :param attempts: how often a question is asked at most, the first time included.
        :param progress: whether to show a bar with rate, time left, tokens and cost.
        :raises ValueError: if attempts is below 1.
        """
        if attempts < 1:
            raise ValueError(f"attempts must be 1 or more, got {attempts}")
        self._generator, self._ledger, self.spending = generator, ledger, spending
        self._attempts, self._progress = attempts, progress
        self._settings = generator.settings
        self.asked = Asked()
        """Counts so far."""

    @property
    def generator_name(self) -> str:
        """Return the generator's name, which becomes part of a pair's source."""
        return self._generator.name

    def ask(self, questions: Sequence[Question[Usable_co]]) -> list[Usable_co | None]:
        """
        Ask questions. One whose answer is unusable is asked again, with that answer and what was wrong with it.

        :param questions: the questions, all held in memory.
        :returns: the content of each question's answer, in their order; None if no answer was usable, or a limit was met first.
        :raises PermissionError: if the generator refuses all further requests.
        :raises ConnectionError: if :data:`FAILURES_IN_A_ROW` requests fail one after the other.
        """
        found: list[Usable_co | None] = [None] * len(questions)
        rows = {Request(q.messages, q.seed, q.opening): row for row, q in enumerate(questions)}
        with tqdm(total=len(questions), unit=" questions", disable=None if self._progress else True) as bar:
            for attempt in range(1, self._attempts + 1):
                again: dict[Request, int] = {}
                for request, answer in self._answers(list(rows)):
                    row = rows.pop(request)
                    self.asked.questions += attempt == 1
                    try:
                        found[row] = self._read(questions[row], answer)
                        self.asked.usable_at[attempt] += 1
                    except Unusable as fault:
                        if attempt < self._attempts and isinstance(answer, Answer):
                            again[_retry(request, answer, fault)] = row
                            continue
                        self._give_up(fault.reason, answer)
                    bar.update()
                    self._show(bar)
                if rows and attempt > 1:
                    self.asked.unusable[NO_BUDGET] += len(rows)
                rows = again
        return found

    def _answers(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Answer | Failure]]:
        keys = {request: request.key(self._settings) for request in requests}
        new = []
        for request, key in keys.items():
            answer = self._ledger.find(key)
            if answer is None:
                new.append(request)
                continue
            self.asked.remembered += 1
            self.spending.add(request, answer)
            yield request, answer
        failures = 0
        for request, came in self._generator.answers(self._affordable(new)):
            failures = failures + 1 if isinstance(came, Failure) else 0
            if failures == FAILURES_IN_A_ROW:
                raise ConnectionError(
                    f"the last {failures} requests failed ({came}); all answers before are kept. Repair the server or the "
                    "settings, then run the same command: it goes on from there."
                )
            if isinstance(came, Answer):
                self._ledger.add(keys[request], came)
                self.spending.add(request, came)
            yield request, came

    def _affordable(self, requests: Sequence[Request]) -> Iterator[Request]:
        for request in requests:
            if self.spending.exhausted:
                self.spending.stopped = True
                return
            self.asked.requests += 1
            yield request

    def _read(self, question: Question[Usable_co], answer: Answer | Failure) -> Usable_co:
        if isinstance(answer, Failure):
            raise Unusable(answer.reason, "")
        return question.read(answer)

    def _give_up(self, reason: str, answer: Answer | Failure) -> None:
        self.asked.unusable[reason] += 1
        said = {"answer": answer.text} if isinstance(answer, Answer) else {"server": answer.detail}
        if len(self.asked.examples) < EXAMPLES and said != {"server": ""}:
            self.asked.examples.append({"reason": reason, **said})

    def _show(self, bar: tqdm[NoReturn]) -> None:
        spent = f"{self.spending.tokens:,} tokens"
        bar.set_postfix_str(f"{spent}, cost {self.spending.cost:.4f}" if self.spending.cost else spent, refresh=False)


def _retry(request: Request, answer: Answer, fault: Unusable) -> Request:
    said = {"role": "assistant", "content": answer.text or "(nothing)"}
    wrong = {
        "role": "user",
        "content": f"That cannot be used. {fault.advice} Answer again with the whole JSON object only.",
    }
    return Request([*request.messages, said, wrong], request.seed, request.opening)
