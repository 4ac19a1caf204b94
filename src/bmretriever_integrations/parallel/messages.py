"""Requests to a worker process and its replies, sent over its standard input and output."""

from __future__ import annotations

import pickle
import traceback
from dataclasses import dataclass

from bmretriever_integrations.parallel.jobs import Facts, Job
from bmretriever_integrations.parallel.shared_memory import SharedRows
from bmretriever_integrations.settings import EncoderSettings


@dataclass(frozen=True)
class Load:
    """Request: load this engine."""

    settings: EncoderSettings
    sharers: int
    """Number of workers that share the machine's cores; 0 leaves PyTorch's threads as they are."""


@dataclass(frozen=True)
class Work:
    """Request: do this job and write its vectors into these rows."""

    job: Job
    rows: SharedRows


@dataclass(frozen=True)
class Embedded:
    """Reply while a job is done: so many more texts are embedded."""

    texts: int


@dataclass(frozen=True)
class Finished:
    """Reply: the engine is loaded (with its facts), or the job is done (without)."""

    facts: Facts | None = None


@dataclass(frozen=True)
class Failed:
    """Reply: this error was raised."""

    error: BaseException


Request = Load | Work
Reply = Embedded | Finished | Failed


def portable(error: BaseException, name: str) -> BaseException:
    """
    Make an error that can be sent to another process, with the traceback of where it was raised.

    :param error: any.
    :param name: the name of the worker.
    :returns: the error itself, or a RuntimeError that says the same where its type cannot be pickled.
    """
    trace = "".join(traceback.format_exception(error))
    try:
        copy = pickle.loads(pickle.dumps(error))
        if type(copy) is not type(error):
            raise TypeError(f"{type(copy)} came back")
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"Raised in the worker on {name}:\n{trace.rstrip()}")
    return error
