"""Prompt files -> the messages that a generator is asked with; the same seed gives the same messages."""

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
"""A message with ``role`` and ``content``, as chat models take it."""

LEVELS = ("instance", "brainstorm", "triple")
"""Names of the prompt files."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a placeholder."""

    text: str
    """The words that take the placeholder's place."""
    name: str = ""
    """Short name in the report; only query types of the instance level have one."""
    instruction: str = ""
    """The instruction that queries of this type are trained with."""
    passage: str = ""
    """Passage of a worked example."""
    query: str = ""
    """Query of a worked example."""


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """One prompt file of this package."""

    level: str
    """One of :data:`LEVELS`."""
    version: str
    """First 12 hexadecimal digits of the file's SHA-256: another wording is another version."""
    system: str
    """The system message."""
    user: str
    """The question, with placeholders."""
    opening: str
    """How every right answer begins; a local model can be made to begin with it."""
    example: str
    """The shorter question for few-shot prompts; empty where there is none."""
    placeholders: Mapping[str, tuple[Value, ...]]
    """Placeholder -> the values that it can have."""

    def draw(self, *seed: object) -> dict[str, Value]:
        """
        Draw one value for every placeholder.

        :param seed: the parts that the draw depends on; the same parts give the same values on every machine.
        """
        digest = hashlib.sha256("\0".join(map(str, seed)).encode("utf-8")).digest()
        chance = random.Random(int.from_bytes(digest[:8], "big"))
        return {name: chance.choice(values) for name, values in self.placeholders.items()}

    def render(self, drawn: Mapping[str, Value], shots: int = 0, **given: str) -> list[Message]:
        """
        Fill the prompt.

        :param drawn: a value for every placeholder (:meth:`draw`).
        :param shots: number of worked examples before the question, the one of the drawn query type last. Small models keep the
            form better with some. If there are any, the question has the short wording of the examples too.
        :param given: the other fields of the prompt, such as ``passage`` or ``task``.
        :returns: the messages; dollar signs and braces in a field stay as they are.
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
