"""Contenders taking turns: A B C, B C A, C A B, so that a machine that slows down slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from tqdm import tqdm

from side_by_side.contenders import Contender, Vectors
from side_by_side.machine import peak_of_device, synchronize


@dataclass(eq=False)
class Arm:
    """One contender at one depth of the model, with the times that it took."""

    name: str
    contender: Contender
    depth: int
    items: list[Callable[[], Vectors]] = field(default_factory=list)
    """What one round does: all texts at once, or queries one after another."""
    scale: float = 1.0
    """A contender that takes queries one by one gets a share of them; its seconds are multiplied by this."""
    rests: bool = False
    """Whether it sits every second round out."""
    seconds: list[list[float] | None] = field(default_factory=list)
    """One list a round, one number an item; None for a round that it sat out."""
    computed_tokens: int = 0
    """Counted in the first round."""
    device_bytes: int | None = None
    """The most that one of its items took on a GPU beyond what was taken before, in the first round."""


def take_turns(arms: Sequence[Arm], number: int, device: str, bar: tqdm) -> None:
    """
    Play one round; whoever was first goes last in the next one. Items go around, too: a query meets all arms in a row.

    The depths of one contender come in direct succession, so that noise hits them alike; the shallowest comes first in even
    rounds and last in odd ones.

    :param arms: each gets its list of seconds.
    :param number: the number of the round, from 0; in that one tokens and memory are counted as well.
    :param device: that must have finished before a clock starts or stops.
    :param bar: moves by one for each item.
    """
    names = list(dict.fromkeys(arm.name for arm in arms))
    first = number % len(names)
    one_way = arms[:: -1 if number % 2 else 1]
    turns = [arm for name in (*names[first:], *names[:first]) for arm in one_way if arm.name == name]
    order = [arm for arm in turns if not (arm.rests and number % 2)]
    times: dict[Arm, list[float]] = {arm: [] for arm in order}
    for item in range(max(len(arm.items) for arm in order)):
        for arm in order:
            if item < len(arm.items):
                with counted(arm, device) if number == 0 else nullcontext():
                    synchronize(device)
                    start = time.perf_counter()
                    arm.items[item]()
                    synchronize(device)
                    times[arm].append((time.perf_counter() - start) * arm.scale)
                bar.update()
    for arm in arms:
        arm.seconds.append(times.get(arm))


@contextmanager
def counted(arm: Arm, device: str) -> Iterator[None]:
    """
    Count the tokens whose word vectors are looked up while the block runs, padding included: what a network is really given.

    A replayed CUDA graph looks nothing up. The GPU's memory is watched, too.

    :param arm: its ``computed_tokens`` grows, its ``device_bytes`` rises to the peak.
    :param device: where it runs.
    """

    def look(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, torch.nn.Embedding):
            arm.computed_tokens += inputs[0].numel()

    hook = torch.nn.modules.module.register_module_forward_pre_hook(look)
    try:
        with peak_of_device(device) as peak:
            yield
    finally:
        hook.remove()
    if peak["bytes"] is not None:
        arm.device_bytes = max(peak["bytes"], arm.device_bytes or 0)


def share_weights(arms: Sequence[Arm]) -> None:
    """
    Let the peers hold one copy of equal weights: the same depth in the same dtype. Those of ours are as they were loaded.

    :param arms: all of them.
    """
    held: dict[tuple[int, str, torch.dtype], torch.Tensor] = {}
    for arm in arms:
        for network in arm.contender.networks():
            for name, weight in network.named_parameters():
                weight.data = held.setdefault((arm.depth, name, weight.dtype), weight.data)
