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
QUICK_SECONDS = 0.03
"""Batches that take longer with one thread are worth all: handling the requests takes little beside them."""
LONG_SECONDS = 0.3
"""After a batch that takes so long, nothing more is measured: the first one prepares oneDNN's products, but takes no longer."""
AS_FAST = 1.8
"""
One thread is taken if it takes at most so many times as long as all.

With mini on two cores it takes 1.0 to 1.3 times as long, and 32 clients still get 10 to 17 % more answers a second.
"""
TRIES = 12


@contextmanager
def chosen_threads(encoder: BMRetrieverEncoder) -> Iterator[int]:
    """
    Let PyTorch compute with one thread while the block is running, if a batch of queries takes not much longer with it.

    So it is with mini on a CPU. The other threads would keep cores busy that read requests and write answers.

    :param encoder: the engine; its instruction's keys and values are computed.
    :returns: the number of threads.
    """
    before = torch.get_num_threads()
    try:
        if encoder.device.type == "cpu" and before > 1:
            torch.set_num_threads(_better(encoder, before))
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def _better(encoder: BMRetrieverEncoder, most: int) -> int:
    """Measure one thread and all in turns, so that what else the machine does at the time slows both down."""
    of_all = of_one = float("inf")
    for number in range(TRIES):
        of_all = min(of_all, _seconds(encoder, number, most))
        if of_all > LONG_SECONDS:
            return most
        of_one = min(of_one, _seconds(encoder, number, 1))
        if of_one > LONG_SECONDS:
            return most
    return 1 if of_one < min(QUICK_SECONDS, AS_FAST * of_all) else most


def _seconds(encoder: BMRetrieverEncoder, number: int, threads: int) -> float:
    torch.set_num_threads(threads)
    words = QUESTION.split()
    # no text twice: the engine embeds equal ones once
    texts = [f"{number}: {' '.join(words[: 2 + place])}" for place in range(BATCH_QUERIES)]
    begun = time.perf_counter()
    encoder.encode_queries(texts)
    return time.perf_counter() - begun
