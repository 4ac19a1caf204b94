"""Use several engines as one: a process for each device of this machine, or Ray actors on many machines.

Each name below is loaded when it is first used, because the index needs a few types of this package and no pool.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bmretriever_integrations.parallel.dispatcher import WorkersLost
    from bmretriever_integrations.parallel.pool import EncoderPool
    from bmretriever_integrations.parallel.worker_group import WorkerLostWarning

__all__ = ["EncoderPool", "WorkerLostWarning", "WorkersLost"]

_HOMES = {"EncoderPool": "pool", "WorkerLostWarning": "worker_group", "WorkersLost": "dispatcher"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
