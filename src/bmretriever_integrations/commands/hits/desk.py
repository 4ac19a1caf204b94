"""Answer questions from an index and print the hits, for questions that are given and for those of a prompt."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from bmretriever_integrations.cli import print_error
from bmretriever_integrations.commands.arguments import this_program
from bmretriever_integrations.commands.hits.formats import write
from bmretriever_integrations.hits.answers import Answer, Question
from bmretriever_integrations.hits.remarks import Advice, remarks
from bmretriever_integrations.terminal.streams import write_lines

if TYPE_CHECKING:
    from bmretriever_integrations.index import Filters, SearchIndex

ADVICE = Advice(hybrid="--mode hybrid", include_retracted="--include-retracted")
SLOW_SECONDS = 1.0
"""Seconds of one search above which the command names ``tune``."""


class Desk:
    """Answers questions as the arguments of the command say."""

    def __init__(
        self, index: SearchIndex, arguments: argparse.Namespace, filters: Filters | None, instruction: str | None
    ) -> None:
        self._index, self._arguments, self._filters, self._instruction = index, arguments, filters, instruction
        self._several = not (arguments.question or arguments.like)
        self._headings = not arguments.question
        self._named_tune = False

    def serve(self) -> None:
        """Ask for one question after another, until an empty one or the end of the input. An error ends none but its own."""
        with suppress(ImportError):  # there is none on Windows; elsewhere it lets lines be edited and called back
            import readline  # noqa: F401
        self._headings, number = False, 0  # the user sees the question already
        while text := _ask():
            number += 1
            try:
                self.answer([Question(str(number), text)])
            except Exception as error:
                print_error(error)

    def answer(self, questions: Sequence[Question]) -> None:
        """Search and print."""
        answers = self._search(questions)
        of = self._arguments
        records = len(self._index)
        notes = [remarks(one, records, self._filters is not None, of.mode, ADVICE) for one in answers]
        if of.format == "table":
            self._print(answers, notes)
            return
        write(answers, of.format, self._several)
        for answer, lines in zip(answers, notes, strict=True):
            begin = f"question {answer.question.id}: " if self._several else ""
            write_lines([f"note: {begin}{line}" for line in lines], sys.stderr)

    def _search(self, questions: Sequence[Question]) -> list[Answer]:
        of, index = self._arguments, self._index
        if of.like is None:
            found = index.search_many(
                [question.text for question in questions],
                of.top_k,
                mode=of.mode,
                filters=self._filters,
                instruction=self._instruction,
                include_retracted=of.include_retracted,
            )
        else:
            questions = [Question(of.like, record.title) for record in index.get([of.like])]
            found = [
                index.more_like(
                    of.like, of.top_k, mode=of.mode, filters=self._filters, include_retracted=of.include_retracted
                )
            ]
        self._name_tune(found[0].seconds)
        return [Answer(question, hits) for question, hits in zip(questions, found, strict=True)]

    def _name_tune(self, seconds: float) -> None:
        """Say once how a slow search becomes a fast one."""
        if seconds <= SLOW_SECONDS or self._arguments.mode == "text" or self._named_tune:
            return
        from bmretriever_integrations.index.tune import FEWEST_ROWS

        # a smaller index is slow for other reasons, such as a busy machine
        if not self._index.tuned and len(self._index) >= FEWEST_ROWS:
            advice = f"{this_program()} tune {shlex.quote(self._arguments.index)} makes it faster"
            write_lines([f"note: the search took {seconds:.1f} s; {advice}"], sys.stderr)
            self._named_tune = True

    def _print(self, answers: Sequence[Answer], notes: Sequence[Sequence[str]]) -> None:
        from bmretriever_integrations.commands.hits.table import print_table
        from bmretriever_integrations.terminal.console import open_console

        console = open_console()
        for answer, lines in zip(answers, notes, strict=True):
            if self._headings:
                write_lines([f"{answer.question.id}: {answer.question.text}"])
            if answer.hits:
                print_table(console, answer)
            write_lines([*lines, ""] if self._several else lines)


def _ask() -> str:
    """Return the user's next question, or "" if there is none."""
    prompt = "question: "
    if not sys.stdout.isatty():  # the hits go elsewhere, and the prompt is not to go with them
        sys.stderr.write(prompt)
        sys.stderr.flush()
        prompt = ""
    try:
        return input(prompt).strip()
    except EOFError:
        sys.stderr.write("\n")
        return ""
