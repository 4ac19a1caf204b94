"""Define the requests to a worker process and its replies, which are sent over its standard input and output."""

from __future__ import annotations

import pickle
import traceback
from dataclasses import dataclass, field

from bmretriever_integrations.parallel.jobs import Facts, Job
from bmretriever_integrations.parallel.shared_memory import SharedRows
from bmretriever_integrations.settings import EncoderSettings


@dataclass(frozen=True)
class Load:
    """Request: load this engine."""

    settings: EncoderSettings
    """The settings of the engine, with the device."""
    sharers: int
    """Number of workers that share the machine's cores; 0 does not change PyTorch's number of threads."""
    token: str | None = field(repr=False)
    """Access token for the hub, which pickled settings do not hold. This message goes through a pipe and is never stored."""


@dataclass(frozen=True)
class Work:
    """Request: do this job and write its vectors into these rows."""

    job: Job
    rows: SharedRows


@dataclass(frozen=True)
class Embedded:
    """Reply during a job: more texts are embedded."""

    texts: int
    """Number of texts since the last reply."""


@dataclass(frozen=True)
class Finished:
    """Reply: the engine is loaded, or the job is done."""

    facts: Facts | None = None
    """The facts about the engine after a :class:`Load`; None after a :class:`Work`."""
    cut: int = 0
    """Number of texts that the engine has cut to ``max_length`` since the last reply of this class."""


@dataclass(frozen=True)
class Failed:
    """Reply: this error was raised."""

    error: BaseException


Request = Load | Work
Reply = Embedded | Finished | Failed


def portable(error: BaseException, name: str) -> BaseException:
    """
    Make an error that can be sent to another process and contains its traceback as a note.

    :param error: any error.
    :param name: the name of the worker.
    :returns: the error itself, or a RuntimeError with the same message if the error cannot be pickled.
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
