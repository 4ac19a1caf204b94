"""Whole files and whole folders or none, and one writer at a time."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".lock"


def temporary(path: Path) -> Path:
    """
    Name the file or folder that becomes ``path`` when it is whole.

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
    with whole_file(path) as draft:
        draft.write_bytes(content)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """
    Lend the name of a file that takes the place of ``path`` when the block ends well, as :func:`write_whole` does at once.

    :param path: the final name; its folder is there.
    :raises OSError: if the disk is full, among others; ``path`` is as it was then.
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
    Lend an empty folder that takes the place of ``folder`` when the block ends well.

    Until then what is at ``folder`` stays as it was; it goes when the new one is on the disk. If the block raises, the new
    one goes. A process that is killed leaves at worst a hidden folder beside it, which the next one tidies up.

    :param folder: the final place; its parents are made.
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
    """To the disk, not only to the system's cache, before what it replaces goes."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_names(folder: Path) -> None:
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

    :param folder: the folder; its file :data:`LOCK` stays, unless the block removes it.
    :raises BlockingIOError: if another process holds it.
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
        there = path.exists()
        lock.release()
        if there:  # some releases of filelock take the file away, and by it training knows its folders
            path.touch()
