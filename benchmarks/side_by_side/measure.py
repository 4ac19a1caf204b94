"""One case of one model, from warm-up to what is written down."""

from __future__ import annotations

import gc
import time
from itertools import count
from typing import Any

import pytest
from tqdm import tqdm

from side_by_side.budget import Budget, play_on
from side_by_side.equality import compare, likeness
from side_by_side.ratios import is_settled
from side_by_side.results import Outcome
from side_by_side.room import Room, sample_vectors
from side_by_side.rounds import Arm, take_turns
from side_by_side.shapes import computed_flops, flops, layer_weights

SHARE = 8
"""Contenders that take queries one by one get every eighth of the bulk; a loop's time is a multiple of its parts'."""


def measure(room: Room, case: str, benchmark: Any, budget: Budget) -> dict[str, Any]:
    """
    Warm every contender up, compare its vectors with the reference, then let all take turns.

    :param room: the model, set up.
    :param case: "passages", "queries" or "one-query".
    :param benchmark: pytest-benchmark's fixture; it times each whole round, the contenders' own times go beside it.
    :param budget: where it runs short on a GPU, there are fewer rounds. Else they go on after the least number until every
        ratio's spread is small or the case's time is over.
    :returns: what was found, as plain values.
    """
    arms = room.fresh_arms(case)
    if not arms:
        pytest.skip(f"none of the contenders takes part in {case}")
    _assign(arms, room, case)
    gc.collect()
    room.measure_limits()
    with tqdm(total=_runs(arms, room), desc=f"{room.model} {case}", unit="run", disable=None, leave=False) as bar:
        _tune(arms, room, case)
        equal = [_check(arm, room, case) for arm in arms]
        rounds = _warm_on_cuda(arms, room, budget, bar) if room.options.on_cuda else room.options.chosen_rounds()
        numbers = count(int(room.options.on_cuda))

        def set_up() -> tuple[tuple[Any, ...], dict[str, Any]]:
            gc.collect()
            return (arms, next(numbers), room.options.device, bar), {}

        def play() -> None:
            given, _ = set_up()
            begin = time.perf_counter()
            take_turns(*given)
            benchmark.stats.update(time.perf_counter() - begin)

        def settled() -> bool:
            return is_settled(Outcome(_result(room, case, arms, equal)))

        start = time.monotonic()
        benchmark.pedantic(take_turns, setup=set_up, rounds=rounds, iterations=1)
        if room.options.rounds is None and not benchmark.disabled:
            now = time.monotonic()
            until = min(start + room.options.chosen_time_limit(), now + budget.left())
            play_on(play, settled, rounds, (now - start) / rounds, until)
    room.measure_limits()
    return _result(room, case, arms, equal)


def _warm_on_cuda(arms: list[Arm], room: Room, budget: Budget, bar: tqdm) -> int:
    """Play one round untimed: graphs and compiled kernels are made for the shapes that will be timed. Returns how many fit."""
    start = time.monotonic()
    take_turns(arms, 0, room.options.device, bar)
    for arm in arms:
        arm.seconds.clear()
    return budget.rounds(room.options.chosen_rounds(), time.monotonic() - start)


def _result(room: Room, case: str, arms: list[Arm], equal: list[dict[str, Any]]) -> dict[str, Any]:
    lengths = room.lengths(case)
    if case == "one-query":
        lengths = lengths[: room.plan.latency]
    contenders: dict[str, Any] = {}
    for arm, equality in zip(arms, equal, strict=True):
        tokens = round(arm.computed_tokens * arm.scale) or None
        is_ours = arm.name.startswith("ours")
        contenders.setdefault(arm.name, _describe(arm))["depths"][str(arm.depth)] = {
            "seconds": arm.seconds,
            "equality": equality,
            "computed_tokens": tokens,
            "computed_flops": tokens and computed_flops(room.configs[arm.depth], lengths, tokens, is_ours),
            "peak_device_bytes": arm.device_bytes,
        }
    whole = room.configs[room.whole]
    return {
        "model": room.model,
        "case": case,
        "whole_depth": room.whole,
        "texts": len(lengths),
        "real_tokens": sum(lengths),
        "longest": max(lengths),
        "flops_of_whole": flops(whole, lengths),
        "weights_of_layer": layer_weights(whole)[0],
        "likeness_of_texts": likeness(room.right[room.depths[-1]]["passages" if case == "passages" else "queries"]),
        "matmul_peak": dict(room.peaks),
        "read_bandwidth": room.bandwidth,
        "tokenizer": room.tokenizer,
        "not_installed": room.missing(),
        "contenders": contenders,
    }


def _assign(arms: list[Arm], room: Room, case: str) -> None:
    for arm in arms:
        contender = arm.contender
        if case == "passages":
            arm.items = [lambda contender=contender: contender.passages(room.passages)]
        elif case == "one-query":
            few = room.queries[: room.plan.latency]
            arm.items = [lambda contender=contender, query=query: contender.queries([query]) for query in few]
        else:
            some = room.queries[::SHARE] if contender.one_by_one else room.queries
            arm.items = [lambda contender=contender, some=some: contender.queries(some)]
            arm.scale = len(room.queries) / len(some)


def _tune(arms: list[Arm], room: Room, case: str) -> None:
    """At the first depth, where it is cheapest; what is best for one layer is best for many alike ones."""
    if case == "one-query":
        return
    tuned: dict[str, Arm] = {}
    most = len(room.passages if case == "passages" else room.queries)
    sizes = [size for size in room.options.chosen_batch_sizes() if size <= most] or [most]
    for arm in arms:
        if arm.name in tuned:
            arm.contender.like(tuned[arm.name].contender)
        else:
            arm.contender.tune(arm.items[0], sizes)
            tuned[arm.name] = arm


def _check(arm: Arm, room: Room, case: str) -> dict[str, Any]:
    """Embed the texts whose right vectors are known, which warms the contender up as well."""
    right = room.right[arm.depth]["passages" if case == "passages" else "queries"]
    return compare(sample_vectors(arm, room, case), right, arm.contender.dtype())


def _runs(arms: list[Arm], room: Room) -> int:
    rounds = range(room.options.chosen_rounds() + room.options.on_cuda)
    return sum(len(arm.items) for arm in arms for number in rounds if not (arm.rests and number % 2))


def _describe(arm: Arm) -> dict[str, Any]:
    return {
        "label": arm.contender.label,
        "dtype": arm.contender.dtype(),
        "settings": arm.contender.settings(),
        "share_of_texts": 1 / arm.scale,
        "depths": {},
    }
