"""What a worker process and its owner tell each other, over the worker's standard input and output."""

from __future__ import annotations

import pickle
import traceback
from dataclasses import dataclass

from bmretriever_integrations.parallel.jobs import Facts, Job
from bmretriever_integrations.parallel.shared_memory import SharedRows
from bmretriever_integrations.settings import EncoderSettings


@dataclass(frozen=True)
class Load:
    """Owner: load this engine."""

    settings: EncoderSettings
    sharers: int
    """Workers among which the machine's cores are shared out; 0 leaves PyTorch's threads as they are."""


@dataclass(frozen=True)
class Work:
    """Owner: do this job."""

    job: Job
    rows: SharedRows


@dataclass(frozen=True)
class Embedded:
    """Worker: so many texts more are embedded."""

    texts: int


@dataclass(frozen=True)
class Finished:
    """Worker: the engine is loaded (its facts), or the job is done (None)."""

    facts: Facts | None = None


@dataclass(frozen=True)
class Failed:
    """Worker: this was raised."""

    error: BaseException


Request = Load | Work
Reply = Embedded | Finished | Failed


def portable(error: BaseException, name: str) -> BaseException:
    """
    Make an error fit to travel to another process, with the trace of where it was raised.

    :param error: any.
    :param name: of the worker.
    :returns: the error itself, or a RuntimeError that says the same where its type cannot travel.
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
