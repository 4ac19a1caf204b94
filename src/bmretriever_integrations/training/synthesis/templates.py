"""Prompt files -> messages: which words a generator is asked with, drawn the same for the same seed."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from types import MappingProxyType

import yaml

from bmretriever_integrations.prompts import resolve_instruction

Message = dict[str, str]
"""``role`` and ``content``, as chat models take them."""

LEVELS = ("instance", "brainstorm", "triple")


@dataclass(frozen=True, slots=True)
class Value:
    """One thing that a placeholder can say."""

    text: str
    name: str = ""
    """Short name, for counting; only query types of the instance level have one."""
    instruction: str = ""
    """The sentence that queries of this type are trained with."""
    passage: str = ""
    """A worked example's passage."""
    query: str = ""
    """A worked example's query."""


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """One prompt file of this package."""

    level: str
    version: str
    """First 12 hex digits of the file's SHA-256: another wording is another version."""
    system: str
    user: str
    opening: str
    """How every right answer begins; a local model may be made to begin with it."""
    example: str
    """The shorter wording for few-shot prompting; empty where there is none."""
    placeholders: Mapping[str, tuple[Value, ...]]

    def draw(self, *seed: object) -> dict[str, Value]:
        """
        Draw one value for every placeholder.

        :param seed: what the draw depends on; the same parts give the same values on every machine.
        """
        digest = hashlib.sha256("\0".join(map(str, seed)).encode("utf-8")).digest()
        chance = random.Random(int.from_bytes(digest[:8], "big"))
        return {name: chance.choice(values) for name, values in self.placeholders.items()}

    def render(self, drawn: Mapping[str, Value], shots: int = 0, **given: str) -> list[Message]:
        """
        Fill the prompt.

        :param drawn: a value for every placeholder (:meth:`draw`).
        :param shots: worked examples that go before the question, the one of the drawn query type last. Small models keep to
            the form better with some. With any, the short wording of the examples is used for the question as well.
        :param given: the other fields of the prompt, such as ``passage`` or ``task``.
        :returns: the messages; a field's own dollar signs and braces stay as they are.
        :raises ValueError: if there are fewer examples than ``shots``.
        :raises KeyError: if a field of the prompt has no value.
        """
        fields = {name: value.text for name, value in drawn.items()} | given
        messages = [{"role": "system", "content": self.system}]
        for value in self._shots(drawn, shots):
            asked = Template(self.example).substitute(query_type=value.text, passage=value.passage)
            messages.append({"role": "user", "content": asked.strip()})
            messages.append({"role": "assistant", "content": json.dumps({"query": value.query}, ensure_ascii=False)})
        wording = Template(self.example if shots else self.user)
        return [*messages, {"role": "user", "content": wording.substitute(fields).strip()}]

    def _shots(self, drawn: Mapping[str, Value], shots: int) -> list[Value]:
        worked = [value for value in self.placeholders.get("query_type", ()) if value.query]
        if not 0 <= shots <= len(worked):
            raise ValueError(f"shots must be 0..{len(worked)} for the {self.level} prompt, got {shots}")
        ordered = sorted(worked, key=lambda value: value == drawn["query_type"])
        return ordered[len(ordered) - shots :]


@cache
def load_template(level: str) -> PromptTemplate:
    """
    Read a prompt file.

    :param level: one of :data:`LEVELS`.
    :raises ValueError: if there is no such level.
    """
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}, got {level!r}")
    content = files(__package__).joinpath("prompts", f"{level}.yaml").read_bytes()
    prompt = yaml.safe_load(content)
    placeholders = {name: tuple(map(_value, values)) for name, values in prompt["placeholders"].items()}
    return PromptTemplate(
        level=level,
        version=hashlib.sha256(content).hexdigest()[:12],
        system=prompt["system"],
        user=prompt["user"],
        opening=prompt["opening"],
        example=prompt.get("example", ""),
        placeholders=MappingProxyType(placeholders),
    )


def _value(entry: str | dict[str, str]) -> Value:
    if isinstance(entry, str):
        return Value(entry)
    return Value(**{**entry, "instruction": resolve_instruction(entry["instruction"])})
