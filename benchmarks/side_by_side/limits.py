"""What the device allows: a contender's share of it, and whether a time is possible at all."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from side_by_side.results import Outcome
from side_by_side.shapes import computed_flops, config_of

TOLERANCE = 1.05
"""A share of what the device does at most may exceed 1 by as much as measuring errs; beyond that the time is impossible."""
CONTRADICTIONS = 0.25
"""The share of rounds in which the deeper slice may have taken no longer than the other; with more, neither is believed."""
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}


def work(outcome: Outcome, name: str) -> list[float] | None:
    """
    Count the operations that a contender did for all texts, at each depth that was timed.

    :param outcome: the case.
    :param name: short name.
    :returns: None where the tokens given to the network could not be counted, as when CUDA graphs are replayed.
    """
    depths: Mapping[str, Mapping[str, float | None]] = outcome.raw["contenders"][name]["depths"]
    found = [_work(outcome, name, depth, depths[str(depth)]) for depth in outcome.depths]
    return None if None in found else [each for each in found if each is not None]


def _work(outcome: Outcome, name: str, depth: int, entry: Mapping[str, float | None]) -> float | None:
    """Older results have no operations but the tokens, which give the operations with the texts' mean length."""
    tokens, counted = entry.get("computed_tokens"), entry.get("computed_flops")
    if tokens is None or counted is not None:
        return counted
    texts = int(outcome.raw["texts"])
    lengths = [float(outcome.raw["real_tokens"]) / texts] * texts
    return computed_flops(config_of(outcome.model, depth), lengths, tokens, name.startswith("ours"))


def share_of_peak(outcome: Outcome, name: str) -> float | None:
    """
    Compare the operations a second that were really done with the most that the device does in the same dtype.

    :param outcome: the case.
    :param name: short name.
    :returns: None where one of them was not measured.
    """
    done = work(outcome, name)
    return None if done is None else _of_peak(outcome, name, outcome.of_whole(done), outcome.middle_seconds(name))


def _of_peak(outcome: Outcome, name: str, done: float, seconds: float) -> float | None:
    """``done``: operations for all texts; ``seconds``: of all texts, or of a single query."""
    peak: float | None = outcome.raw["matmul_peak"].get(outcome.dtype(name))
    return None if peak is None else outcome.texts_of_a_time / float(outcome.raw["texts"]) * done / seconds / peak


def share_of_bandwidth(outcome: Outcome, name: str) -> float | None:
    """
    Compare the bytes a second that one query reads at least, the layers' weights, with the most that the CPU reads.

    :param outcome: the case; only "one-query" reads all weights for each text.
    :param name: short name.
    :returns: None in other cases, and where the bandwidth was not measured.
    """
    return _of_bandwidth(outcome, name, outcome.whole, outcome.middle_seconds(name))


def _of_bandwidth(outcome: Outcome, name: str, layers: int, seconds: float) -> float | None:
    most = outcome.raw.get("read_bandwidth")
    if outcome.case != "one-query" or most is None:
        return None
    return layers * float(outcome.raw["weights_of_layer"]) * BYTES[outcome.dtype(name)] / seconds / float(most)


def contradicted(outcome: Outcome, name: str) -> set[int]:
    """
    Find the rounds in which the deeper slice took no longer, as when another program took the machine meanwhile.

    :param outcome: the case.
    :param name: short name.
    :returns: numbers of rounds.
    """
    slices = outcome.slices(name)
    return {number for number, deep in slices[-1].items() if outcome.is_estimate and deep <= slices[0][number]}


def is_possible(outcome: Outcome, name: str) -> bool:
    """
    Tell whether a contender's time can be true: not faster than the device, neither in all nor in one layer.

    :param outcome: the case.
    :param name: short name.
    """
    slices = outcome.slices(name)
    if len(contradicted(outcome, name)) > CONTRADICTIONS * len(slices[-1]) or outcome.middle_seconds(name) <= 0:
        return False
    shares = [share_of_peak(outcome, name), share_of_bandwidth(outcome, name)]
    if outcome.is_estimate:
        shares += _shares_between(outcome, name)
    return all(share is None or share <= TOLERANCE for share in shares)


def _shares_between(outcome: Outcome, name: str) -> list[float | None]:
    """Of the peak and of the bandwidth, in the layers by which the slices differ."""
    slices, done = outcome.slices(name), work(outcome, name)
    seconds = median(deep - slices[0][number] for number, deep in slices[-1].items())
    if seconds <= 0:
        return [float("inf")]
    return [
        None if done is None else _of_peak(outcome, name, done[-1] - done[0], seconds),
        _of_bandwidth(outcome, name, outcome.depths[-1] - outcome.depths[0], seconds),
    ]
