"""Whole files or none, and one writer at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"


def temporary(path: Path) -> Path:
    """
    Name the file that becomes ``path`` when it is whole.

    :param path: the final name.
    """
    return path.with_name(f".{path.name}.tmp")


def write_whole(path: Path, content: bytes) -> None:
    """
    Write a file so that it is either there as a whole or as it was, whenever the process or the machine stops.

    :param path: where; replaced if it is there.
    :param content: its bytes.
    :raises OSError: if the disk is full, among others; ``path`` is as it was then.
    """
    draft = temporary(path)
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # cannot open a folder; NTFS logs renames itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """
    Hold a folder against a second writer. The lock is the operating system's, so it goes when its process dies, however.

    :param folder: the index's folder.
    :raises BlockingIOError: if another process holds it.
    """
    with (folder / LOCK).open("ab") as file:
        try:
            _lock(file.fileno())
        except (BlockingIOError, PermissionError) as error:
            raise BlockingIOError(f"{folder} is being written by another process; wait for its end") from error
        yield


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
