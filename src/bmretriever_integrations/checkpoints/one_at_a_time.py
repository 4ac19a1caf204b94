"""Let one thread at a time create, read or write a network, because transformers changes settings of the whole process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bmretriever_integrations.checkpoints.garbage import collection_paused

_lock = threading.RLock()  # reentrant, because an adapter's base is loaded while the adapter is


def _renew() -> None:
    """Replace the lock in a forked process, where the thread that may hold it does not exist."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


@contextmanager
def transformers_alone(bars: bool) -> Iterator[None]:
    """
    Let one thread at a time create, read or write a network.

    While transformers creates a network, it sets PyTorch's default number type to the network's, and restores the old type
    afterwards. If two threads did so at once, one thread would restore the type that the other had set, and all later tensors of
    the process would be bfloat16.

    :param bars: whether transformers may show progress bars while it reads and writes weights; downloads always show theirs.
    """
    with _lock, collection_paused():
        from transformers.utils import logging

        if bars or not logging.is_progress_bar_enabled():
            yield
            return
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.enable_progress_bar()
