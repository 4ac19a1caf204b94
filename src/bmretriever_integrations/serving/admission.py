"""Looks at the texts of a request before they take a place: how many tokens they have, and whether the server takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bmretriever_integrations.encoder import BMRetrieverEncoder
from bmretriever_integrations.prompts import checked_text, passage_prompt, query_prompt, resolve_instruction
from bmretriever_integrations.serving.asked import note
from bmretriever_integrations.serving.errors import INVALID, ApiError
from bmretriever_integrations.serving.names import Kind
from bmretriever_integrations.serving.settings import Limits

CHARACTERS_A_TOKEN = 16
"""A text of more characters a token than this is refused before it is tokenized; English has 4 to 5."""
INSTRUCTION_CHARACTERS = 2_000
"""The most characters of an instruction, which every text of a request is put behind: as many as 512 tokens of English have."""
MOST_TOKENS_A_CHARACTER = 12
"""A character has at most 4 bytes, each of which is a token at most; composing accents makes of one character 3 at most."""
CHARACTERS_A_WORD = 4
"""About so many characters of English are a token."""
SHORT = 4_000
"""So many characters are tokenized in the event loop, which takes less than handing them to a thread and back (about 1 ms)."""


@dataclass(frozen=True)
class Admitted:
    """Texts that may be embedded."""

    kind: Kind
    instruction: str | None
    """The sentence that says the task of queries; None for passages."""
    texts: Sequence[str]
    lengths: Sequence[int]
    """Tokens of each sequence, template, BOS and EOS included, before it is cut; about so many where they were not counted."""
    max_length: int

    @property
    def tokens(self) -> list[int]:
        """Tokens that the model reads of each text."""
        return read_tokens(self.lengths, self.max_length)

    @property
    def cut(self) -> list[int]:
        """The numbers, from 0, of the texts that the model does not read to their end."""
        return cut_texts(self.lengths, self.max_length)


def read_tokens(lengths: Sequence[int], most: int) -> list[int]:
    """
    Return the tokens that the model reads of each text.

    :param lengths: tokens of each sequence before it is cut.
    :param most: tokens that the model reads.
    """
    return [min(length, most) for length in lengths]


def cut_texts(lengths: Sequence[int], most: int) -> list[int]:
    """
    Return the numbers, from 0, of the texts that the model does not read to their end.

    :param lengths: tokens of each sequence before it is cut.
    :param most: tokens that the model reads.
    """
    return [number for number, length in enumerate(lengths) if length > most]


class Admission:
    """Checks texts for one engine."""

    def __init__(self, encoder: BMRetrieverEncoder, limits: Limits) -> None:
        """
        :param encoder: the engine that will embed them.
        :param limits: the bounds.
        """
        self._tokenizer, self._instruction, self._limits = encoder.tokenizer, encoder.instruction, limits
        self._max_length, self._width = encoder.settings.max_length, encoder.width

    async def check(
        self,
        kind: Kind,
        texts: Sequence[str],
        instruction: str | None = None,
        *,
        field: str = "input",
        counted: bool = True,
        numbered: bool = True,
    ) -> Admitted:
        """
        Count the tokens of texts.

        :param kind: whether they are queries or passages.
        :param texts: the texts.
        :param instruction: the task of queries: a task key or a sentence; None takes the engine's own.
        :param field: the field of the request that holds them, for messages.
        :param counted: count all tokens now. Else those of texts that cannot be too long are counted while they are embedded
            (:attr:`~bmretriever_integrations.serving.parts.Parts.lengths`), and the caller notes how many texts are cut.
        :param numbered: name a text in messages by its number behind the field; False where the field holds one text.
        :raises ApiError: if there are none or too many, if one is too long, if the instruction is no task, or if passages are
            given one.
        """
        task = self._task(kind, instruction)
        names = [f"{field}[{number}]" if numbered else field for number in range(len(texts))]
        self._check(kind, texts, field, names)
        prompts = [query_prompt(task, text) if task else passage_prompt(text) for text in texts]
        characters = sum(map(len, prompts))
        if not counted and characters * MOST_TOKENS_A_CHARACTER <= self._limits.text_tokens:
            lengths = [len(prompt) // CHARACTERS_A_WORD + 1 for prompt in prompts]
        elif characters <= SHORT:
            lengths = self._tokenizer.lengths(prompts)
        else:
            lengths = await asyncio.to_thread(self._tokenizer.lengths, prompts)
        most = self._limits.text_tokens
        for name, length in zip(names, lengths, strict=True):
            if length > most:
                raise _too_long(kind, name, f"{length:,} tokens", most)
        admitted = Admitted(kind, task, texts, lengths, self._max_length)
        note(texts, len(admitted.cut) if counted else 0)
        return admitted

    def check_dimensions(self, dimensions: int | None) -> None:
        """
        Check how many leading dimensions a request wants.

        :param dimensions: their number; None for all.
        :raises ApiError: if vectors do not have so many.
        """
        if dimensions is not None and not 1 <= dimensions <= self._width:
            message = f"dimensions is {dimensions:,}; it may be 1 to {self._width:,}"
            raise ApiError(400, message, param="dimensions", code=INVALID)

    def _task(self, kind: Kind, instruction: str | None) -> str | None:
        if kind == "passage":
            if instruction is not None:
                message = "passages have no instruction: leave it out, or embed queries"
                raise ApiError(400, message, param="instruction", code=INVALID)
            return None
        if instruction is not None and len(instruction) > INSTRUCTION_CHARACTERS:
            message = f"instruction has {len(instruction):,} characters; it may have {INSTRUCTION_CHARACTERS:,}: write a sentence"
            raise ApiError(400, message, param="instruction", code=INVALID)
        try:
            return self._instruction if instruction is None else resolve_instruction(instruction)
        except ValueError as error:
            raise ApiError(400, str(error), param="instruction", code=INVALID) from None

    def _check(self, kind: Kind, texts: Sequence[str], field: str, names: Sequence[str]) -> None:
        limits = self._limits
        if not texts:
            raise ApiError(400, f"{field} is empty; give a text or a list of texts", param=field, code=INVALID)
        if len(texts) > limits.texts:
            message = f"{field} has {len(texts):,} texts; a request may have {limits.texts:,}: send several"
            raise ApiError(413, message, param=field, code="too_many_texts")
        for name, text in zip(names, texts, strict=True):
            try:
                checked_text(text, name)
            except (TypeError, ValueError) as error:
                raise ApiError(400, str(error), param=field, code=INVALID) from None
            if len(text) > limits.text_tokens * CHARACTERS_A_TOKEN:
                raise _too_long(kind, name, f"{len(text):,} characters", limits.text_tokens)


def _too_long(kind: Kind, field: str, has: str, most: int) -> ApiError:
    if kind == "query":
        may = f"a question may have {most:,} tokens. Shorten it"
    else:
        may = f"a text may have {most:,} tokens. Split it into passages before it is embedded"
    return ApiError(413, f"{field} has {has}; {may}", param=field, code="text_too_long")
