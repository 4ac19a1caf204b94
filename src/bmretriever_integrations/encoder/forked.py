"""Make engines work in a process that was forked after they were loaded, as servers with preloaded applications do.

A fork copies the memory and one thread. What other threads hold at that moment stays locked in the copy, and OpenMP, with which
PyTorch computes on several cores, waits for ever for its lost threads.
"""

from __future__ import annotations

import os
import warnings
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Renewable(Protocol):
    """An object with locks."""

    def renew(self) -> None:
        """Replace the locks, because another thread of the parent process may have held them."""


_known: weakref.WeakSet[Renewable] = weakref.WeakSet()
_one_thread_in = 0  # process id


def renew_after_fork(owner: Renewable) -> None:
    """
    Replace an object's locks in every process that is forked from this one.

    :param owner: the object; it is not kept alive.
    """
    _known.add(owner)


def _renew_all() -> None:
    for owner in list(_known):
        owner.renew()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_renew_all)


def prepare(device: torch.device) -> None:
    """
    Prepare for computing in a process that was forked after the engine was loaded: with one thread, because more would hang.

    :param device: the device of the engine.
    :raises RuntimeError: if it is not the CPU, because a fork copies no context of a device.
    """
    global _one_thread_in  # noqa: PLW0603  the number of threads is one of the process
    import torch

    if device.type != "cpu":
        raise RuntimeError(
            f"this engine was loaded on {device} before this process was forked, and a fork cannot use its parent's device. Load "
            "it after the fork, e.g. in gunicorn's post_fork or celery's worker_process_init; docs/forking.md shows how."
        )
    if _one_thread_in == os.getpid():
        return
    _one_thread_in = os.getpid()
    if torch.get_num_threads() > 1:
        torch.set_num_threads(1)
        warnings.warn(
            "this process was forked after an engine was loaded: PyTorch's other threads are lost, so it computes with one. Load "
            "the engine after the fork to use more; docs/forking.md shows how.",
            RuntimeWarning,
            stacklevel=6,
        )
