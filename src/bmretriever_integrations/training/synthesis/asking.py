"""Questions -> usable answers: the ledger first, then the generator, and again with what was wrong."""

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
"""Unusable answers that the report shows; all are counted."""

FAILURES_IN_A_ROW = 20
"""After so many the server is down or the settings are wrong; going on would only take time."""
NO_BUDGET = "limit met before it could be asked again"

Usable_co = TypeVar("Usable_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Question(Generic[Usable_co]):
    """What is asked, and how its answer is judged."""

    messages: Sequence[Message]
    seed: int
    opening: str
    read: Callable[[Answer], Usable_co]
    """Returns what is in the answer, or raises :class:`~.answers.Unusable`."""


@dataclass
class Asked:
    """What the asking came to."""

    questions: int = 0
    """Questions that were put, each once, however often it was asked again."""
    requests: int = 0
    """Requests that reached the generator in this run."""
    remembered: int = 0
    """Answers that the ledger had."""
    usable_at: Counter[int] = field(default_factory=Counter)
    """Attempt, from 1 -> questions whose answer became usable at it."""
    unusable: Counter[str] = field(default_factory=Counter)
    """Reason of the last attempt -> questions given up."""
    examples: list[dict[str, str]] = field(default_factory=list)
    """The first :data:`EXAMPLES` answers that were not usable: reason and text."""


class Asker:
    """Puts questions to a generator and counts."""

    def __init__(
        self, generator: Generator, ledger: Ledger, spending: Spending, *, attempts: int = 3, progress: bool = False
    ) -> None:
        """
        :param generator: who answers.
        :param ledger: the answers so far; the new ones go there as they come.
        :param spending: the prices and limits; counts what the answers took.
        :param attempts: how often a question is put at most, the first time included.
        :param progress: shows a bar with rate, ETA and the spending.
        :raises ValueError: if attempts is below 1.
        """
        if attempts < 1:
            raise ValueError(f"attempts must be 1 or more, got {attempts}")
        self._generator, self._ledger, self.spending = generator, ledger, spending
        self._attempts, self._progress = attempts, progress
        self._settings = generator.settings
        self.asked = Asked()

    @property
    def generator_name(self) -> str:
        """For the provenance of what comes of the answers."""
        return self._generator.name

    def ask(self, questions: Sequence[Question[Usable_co]]) -> list[Usable_co | None]:
        """
        Put questions; those whose answer is not usable are put again, with the answer and what was wrong with it.

        :param questions: held in memory together.
        :returns: an entry for each question, in their order; None where no usable answer came, or a limit ended it first.
        :raises PermissionError: if the generator can answer no further request.
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
            self.spending.add(answer.prompt_tokens, answer.completion_tokens)
            yield request, answer
        failures = 0
        for request, came in self._generator.answers(self._affordable(new)):
            failures = failures + 1 if isinstance(came, Failure) else 0
            if failures == FAILURES_IN_A_ROW:
                raise ConnectionError(
                    f"the last {failures} requests failed ({came}); all answers before are kept. See to the generator, then "
                    "run the same command: it goes on from there."
                )
            if isinstance(came, Answer):
                self._ledger.add(keys[request], came)
                self.spending.add(came.prompt_tokens, came.completion_tokens)
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
        if len(self.asked.examples) < EXAMPLES and isinstance(answer, Answer):
            self.asked.examples.append({"reason": reason, "answer": answer.text})

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
