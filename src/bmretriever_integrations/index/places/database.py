"""LanceDB's connection to the place of an index, in a process that may use it."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from bmretriever_integrations.checkpoints.garbage import collection_paused
from bmretriever_integrations.index.places.place import Place

_used_in: int | None = None  # process id


def check_not_forked() -> None:
    """
    Refuse to go on in a process that was forked after LanceDB was used: it would crash or hang, not always but often.

    :raises RuntimeError: if it was; says what to do.
    """
    if _used_in not in (None, os.getpid()):
        raise RuntimeError(
            "this process was forked after an index was used, and LanceDB does not survive that. Open the index after the fork, "
            "e.g. in gunicorn's post_fork or celery's worker_process_init, or start processes by spawn; see docs/forking.md."
        )


def note_use() -> None:
    """
    Note that this process starts threads that no fork of it will have.

    :raises RuntimeError: if this process was forked after that.
    """
    global _used_in  # noqa: PLW0603  LanceDB's threads are those of the process
    check_not_forked()
    _used_in = os.getpid()


def missing(error: ImportError) -> ImportError:
    """
    Say how to install what an index needs.

    :param error: what the import of LanceDB or pyarrow raised.
    """
    return ImportError(
        f"an index needs LanceDB ({error}): pip install 'bmretriever-integrations[index]'. There are wheels for Linux "
        "(x86-64, arm64), macOS (arm64) and Windows (x86-64)"
    )


def connect(place: Place) -> Any:
    """
    Connect to the database of an index.

    :param place: where the index is.
    :returns: a LanceDB connection whose tables always show the last committed state.
    :raises ImportError: if LanceDB is missing; the message says how to install it.
    :raises RuntimeError: if this process was forked after LanceDB was used.
    """
    check_not_forked()
    os.environ.setdefault("LANCEDB_LOG", "error")  # read when lancedb is imported; else it warns of its own defaults
    try:
        with collection_paused():
            import lancedb
    except ImportError as error:
        raise missing(error) from error
    note_use()
    options = None if place.options is None else dict(place.options)
    return lancedb.connect(str(place.given), read_consistency_interval=timedelta(0), storage_options=options)
