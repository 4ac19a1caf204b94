"""How many threads the engine computes with, beside the one that reads requests and writes answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bmretriever_integrations.encoder import BMRetrieverEncoder

QUESTION = "does metformin lower the risk of cancer in patients with type 2 diabetes and mortality after dexamethasone"
BATCH_QUERIES = 16
"""Queries of a measured batch, each of another length, as those of many clients are."""
QUICK_SECONDS = 0.02
"""Batches that take longer are worth all threads: handling the requests takes little beside them."""
AS_FAST = 1.5
"""
One thread is taken if it takes at most so many times as long as all.

With mini on two cores it takes 1.0 to 1.3 times as long, and 32 clients still get 10 to 17 % more answers a second.
"""
TRIES = 5


@contextmanager
def chosen_threads(encoder: BMRetrieverEncoder) -> Iterator[int]:
    """
    Let PyTorch compute with one thread while the block is running, if a batch of queries takes not much longer with it.

    So it is with mini on a CPU. The other threads would keep cores busy that read requests and write answers.

    :param encoder: the engine; its instruction's keys and values are computed.
    :returns: the number of threads.
    """
    before = torch.get_num_threads()
    if encoder.device.type == "cpu" and before > 1 and (all_threads := _seconds(encoder)) < QUICK_SECONDS:
        torch.set_num_threads(1)
        if _seconds(encoder) > AS_FAST * all_threads:
            torch.set_num_threads(before)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def _seconds(encoder: BMRetrieverEncoder) -> float:
    best, words = float("inf"), QUESTION.split()
    for number in range(TRIES):
        # no text twice: the engine embeds equal ones once
        texts = [f"{number}: {' '.join(words[: 2 + place])}" for place in range(BATCH_QUERIES)]
        begun = time.perf_counter()
        encoder.encode_queries(texts)
        best = min(best, time.perf_counter() - begun)
    return best
