"""Write files and folders so that they appear complete or not at all, and lock a folder for one writer at a time."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".lock"
"""Name of the lock file inside a folder."""


def temporary(path: Path) -> Path:
    """
    Name the temporary file or folder that is renamed to ``path`` when it is complete.

    :param path: the final name.
    """
    return path.with_name(f".{path.name}.tmp")


def write_whole(path: Path, content: bytes) -> None:
    """
    Write a file so that ``path`` holds either its old or its new content, even if the process or the machine stops.

    :param path: the file; it is replaced if it exists.
    :param content: its bytes.
    :raises OSError: if the file cannot be written, e.g. because the disk is full; ``path`` is unchanged then.
    """
    with whole_file(path) as draft:
        draft.write_bytes(content)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """
    Yield a temporary file name. When the block ends without an error, that file replaces ``path``, as in :func:`write_whole`.

    :param path: the final name; its folder must exist.
    :raises OSError: if the file cannot be written, e.g. because the disk is full; ``path`` is unchanged then.
    """
    draft = temporary(path)
    try:
        yield draft
        _sync(draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_names(path.parent)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """
    Yield an empty temporary folder. When the block ends without an error, that folder replaces ``folder``.

    The old folder stays unchanged until the new one is on the disk, and is deleted then. If the block raises an error, the new
    folder is deleted. A killed process may leave a hidden folder beside ``folder``; the next call deletes it.

    :param folder: the final folder; missing parent folders are created.
    """
    folder = folder.absolute()
    draft, old = temporary(folder), folder.with_name(f".{folder.name}.replaced.tmp")
    folder.parent.mkdir(parents=True, exist_ok=True)
    if old.is_dir() and not folder.exists():  # a process was killed between the two renames below
        os.replace(old, folder)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir()
        yield draft
        for path in draft.rglob("*"):
            if path.is_file():
                _sync(path)
        if folder.is_dir():
            os.replace(folder, old)
        try:
            os.replace(draft, folder)
        except OSError:
            if old.is_dir():
                os.replace(old, folder)
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _sync_names(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    """Write a file to the disk, not only to the system's cache, before the old version is deleted."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_names(folder: Path) -> None:
    if sys.platform == "win32":  # Windows cannot open a folder, and NTFS keeps a journal of renames
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """
    Lock a folder, so that no second process writes into it. The operating system releases the lock when the process ends.

    :param folder: the folder; its file :data:`LOCK` stays, unless the block removes it.
    :raises BlockingIOError: if another process holds the lock.
    """
    path = folder / LOCK
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise BlockingIOError(f"{folder} is being written by another process; wait for its end") from error
    try:
        yield
    finally:
        had_file = path.exists()
        lock.release()
        if had_file:  # some releases of filelock delete the file, by which training recognises its folders
            path.touch()
