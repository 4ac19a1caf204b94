"""Pause Python's search for garbage while libraries and weights are loaded, when there is much to search and none to find."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

_pauses: set[object] = set()


def _resume() -> None:
    """Let a forked process collect garbage, where the thread that would end the pause may not exist."""
    if _pauses:
        _pauses.clear()
        gc.enable()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_resume)


@contextmanager
def collection_paused() -> Iterator[None]:
    """
    Pause the search for garbage in reference cycles, for the whole process.

    PyTorch and transformers make a million objects while they are imported, all of which stay. Python goes through all of them
    again each time that their number has grown by a quarter, which takes as long as half of the import itself. Objects outside
    of cycles are freed as ever. If the search is switched off already, it stays so.
    """
    if not gc.isenabled():
        yield
        return
    pause = object()
    _pauses.add(pause)
    gc.disable()
    try:
        yield
    finally:
        _pauses.discard(pause)
        if not gc.get_freeze_count():  # else the program's own frozen objects would be released
            gc.freeze()  # these two move all objects to the oldest generation, without going through them
            gc.unfreeze()
        gc.enable()


def set_aside_what_is_loaded() -> None:
    """
    Let the search for garbage pass over all objects there are now, for the rest of the process.

    For a program that has loaded what it keeps until it ends, such as a server: going through PyTorch's and transformers' objects
    again and again took a fifth of the time of its requests.
    """
    gc.collect()
    gc.freeze()
