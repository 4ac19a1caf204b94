"""An index in a folder of this machine."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from pathlib import Path
from typing import BinaryIO

from bmretriever_integrations.files import only_writer, write_whole
from bmretriever_integrations.index.places.place import Place


class Folder(Place):
    """A folder. See :class:`~.place.Place` for the methods."""

    is_local = True

    def __init__(self, path: Path) -> None:
        """
        :param path: the folder; it need not be there.
        """
        self.given = self._path = path

    def __str__(self) -> str:
        return str(self._path)

    @property
    def options(self) -> Mapping[str, str] | None:
        """LanceDB needs to be told nothing."""
        return None

    def address_of(self, name: str) -> str:
        """Return the path of a file."""
        return str(self._path / name)

    def read(self, name: str) -> bytes | None:
        """Read a small file."""
        path = self._path / name
        return path.read_bytes() if path.is_file() else None

    def write(self, name: str, content: bytes) -> None:
        """Write a small file as a whole."""
        write_whole(self._path / name, content)

    def state_of(self, name: str) -> Hashable:
        """Return when a file was replaced."""
        found = os.stat(self._path / name)
        return found.st_mtime_ns, found.st_ino

    def open(self, name: str) -> BinaryIO:
        """Open a file."""
        return (self._path / name).open("rb")

    def files(self, below: str = "") -> Iterator[tuple[str, int]]:
        """List files at any depth."""
        for path in sorted((self._path / below).rglob("*")):
            if path.is_file():
                yield path.relative_to(self._path).as_posix(), path.stat().st_size

    def names(self) -> list[str]:
        """List what lies directly in it."""
        if self._path.exists() and not self._path.is_dir():
            raise NotADirectoryError(f"{self._path} is a file; name a folder")
        return [path.name for path in self._path.iterdir()] if self._path.is_dir() else []

    def make(self) -> None:
        """Make the folder."""
        self._path.mkdir(parents=True, exist_ok=True)

    def free_neighbour(self) -> Place:
        """Return a folder beside it that is not there."""
        here = self._path.absolute()
        return next(
            Folder(other) for number in count(2) if not (other := here.with_name(f"{here.name}-{number}")).exists()
        )

    def only_writer(self) -> AbstractContextManager[None]:
        """Lock the folder; the operating system releases the lock when the process ends."""
        return only_writer(self._path)

    def check_writer(self) -> None:
        """Do nothing: the operating system keeps the lock."""

    def explained(self) -> AbstractContextManager[None]:
        """Change no error."""
        return nullcontext()
