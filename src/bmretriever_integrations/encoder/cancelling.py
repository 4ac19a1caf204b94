"""End a call between two batches if the coroutine that waits for it was cancelled."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")

_stop: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar("bmretriever_stop", default=None)


class CallCancelledError(RuntimeError):
    """The coroutine that waits for this call was cancelled. It ends the call on its thread, and no caller sees it."""


def check_cancelled() -> None:
    """
    Check that somebody waits for the result of this call.

    :raises CallCancelledError: if the coroutine that started the call was cancelled.
    """
    stop = _stop.get()
    if stop is not None and stop.is_set():
        raise CallCancelledError("the coroutine that started this call was cancelled")


async def run_on_thread(
    executor: Executor | None, function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs
) -> Result:
    """
    Run a function on a thread, with the caller's context variables.

    If the awaiting coroutine is cancelled, a function that still waits for a thread is never run. An engine that the function
    calls ends after the batch that it computes, so that the device is free for others.

    :param executor: the executor of the thread; None takes that of the event loop.
    :param function: the function.
    :param args: its positional arguments.
    :param kwargs: its keyword arguments.
    """
    stop, context = threading.Event(), contextvars.copy_context()
    context.run(_stop.set, stop)
    call = partial(context.run, function, *args, **kwargs)
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, call)
    except asyncio.CancelledError:
        stop.set()
        raise
