"""What transformers changes for the whole process while it makes, reads or writes a network: so one at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.RLock()  # held again inside: an adapter's base is read while the adapter is


@contextmanager
def transformers_alone(bars: bool) -> Iterator[None]:
    """
    Let one thread at a time make, read or write a network.

    While transformers makes a network, PyTorch's default number type is the network's. Of two threads that do so at once, one
    takes the other's type for the one to put back: the process is left in bfloat16, and all its new tensors with it.

    :param bars: whether transformers may show its bars for reading and writing weights; downloads keep theirs.
    """
    from transformers.utils import logging

    with _lock:
        if bars or not logging.is_progress_bar_enabled():
            yield
            return
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.enable_progress_bar()
