"""Do the work beforehand that the first query would otherwise wait for, and measure how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bmretriever_integrations.encoder.tokens import shared_tokens
from bmretriever_integrations.prompts import query_prompt

if TYPE_CHECKING:
    from bmretriever_integrations.encoder.encoder import BMRetrieverEncoder

SPANS = (8, 16, 24, 32, 48, 64, 96, 128)
"""The numbers of tokens, without the instruction, for which CUDA graphs are recorded; a query uses the next larger graph. In each
of BioASQ, CovidQA, MedQuAD, PubMedQA, SciFact and two entity tasks, 99 % of the queries have at most 36 tokens ("mini"'s
tokenizer), and none has more than 60."""


@dataclass(frozen=True)
class WarmUp:
    """The steps of a warm-up and their seconds."""

    steps: tuple[tuple[str, float], ...]
    """The name of each step and its seconds."""

    @property
    def seconds(self) -> float:
        """Seconds of all steps together."""
        return sum(taken for _, taken in self.steps)

    def __str__(self) -> str:
        lines = [f"{taken:8.2f} s  {name}" for name, taken in (*self.steps, ("together", self.seconds))]
        return "\n".join(lines)


def check_spans(spans: Sequence[int] | None, most: int) -> list[int]:
    """
    Check the lengths for which graphs are recorded.

    :param spans: numbers of tokens without the instruction; None takes those of :data:`SPANS` that are not above ``most``.
    :param most: the most tokens of a query without the instruction.
    :returns: each length once, the shortest first.
    :raises ValueError: if a length is less than 2 or more than ``most``.
    """
    if spans is None:
        return [span for span in SPANS if span <= most]
    if any(not 2 <= span <= most for span in spans):
        raise ValueError(f"spans must be from 2 to {most}, max_length less the instruction, got {list(spans)}")
    return sorted(set(spans))


def run_steps(encoder: BMRetrieverEncoder, task: str, compile_layers: bool, spans: Sequence[int] | None) -> WarmUp:
    """
    Prepare an engine for single queries; see :meth:`~bmretriever_integrations.BMRetrieverEncoder.warm_up`.

    :param encoder: the engine.
    :param task: the instruction of the queries, a sentence.
    :param compile_layers: let PyTorch compile the layers.
    :param spans: the numbers of tokens for which graphs are recorded.
    """
    template = query_prompt(task, "")
    (ids,) = encoder.tokenizer([query_prompt(task, "a")])
    common = ids[: shared_tokens([ids], encoder.tokenizer.template(template))]
    chosen = check_spans(spans, encoder.settings.max_length - len(common))
    steps: list[tuple[str, Callable[[], object]]] = []
    if compile_layers and encoder.runner.compile():
        steps.append(("compile the layers", partial(encoder.encode_queries, ["a", "b b"], task)))
    steps.append((f"instruction of {len(common)} tokens", partial(encoder.encode_queries, ["a"], task)))
    if encoder.device.type == "cuda" and encoder.runner.is_recordable:
        steps += [(f"graph for {span} tokens", partial(encoder.runner.record, common, span)) for span in chosen]
    return _timed([*steps, ("one query, ready", partial(encoder.encode_queries, ["a"], task))])


def _timed(steps: list[tuple[str, Callable[[], object]]]) -> WarmUp:
    taken = []
    for name, work in steps:
        start = time.perf_counter()
        work()
        taken.append((name, time.perf_counter() - start))
    return WarmUp(tuple(taken))
