"""What an index needs of the place where it is, beside what LanceDB does there itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO


class Place(ABC):
    """
    A folder, or what takes its place on an object store. Names of files are relative to it, with ``/``.

    ``str()`` gives it as a message or a command names it.
    """

    is_local: bool
    """Whether a file is read without a network."""
    given: Path | str
    """A path or a URL that leads here again."""

    @property
    @abstractmethod
    def options(self) -> Mapping[str, str] | None:
        """What LanceDB must be told to reach it; never written or shown."""

    @abstractmethod
    def address_of(self, name: str) -> str:
        """
        Name a file so that a user finds it.

        :param name: the file.
        """

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """
        Read a small file.

        :param name: the file.
        :returns: its content, or None if there is no such file.
        """

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """
        Write a small file; a reader sees its old or its new content, and nothing in between.

        :param name: the file.
        :param content: its bytes.
        """

    @abstractmethod
    def state_of(self, name: str) -> Hashable:
        """
        Tell whether a file was replaced, by comparing two answers.

        :param name: the file.
        :raises FileNotFoundError: if there is none.
        """

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """
        Open a file to be read from its beginning to its end.

        :param name: the file.
        :raises FileNotFoundError: if there is none.
        """

    @abstractmethod
    def files(self, below: str = "") -> Iterator[tuple[str, int]]:
        """
        List files at any depth.

        :param below: a folder inside; "" is all.
        :returns: each file's name and bytes, in the order of the names.
        """

    @abstractmethod
    def names(self) -> list[str]:
        """
        List what lies directly in it, files and folders; nothing if it is not there yet.

        :raises NotADirectoryError: if it is a file.
        """

    @abstractmethod
    def make(self) -> None:
        """Make the folder, where one is needed."""

    @abstractmethod
    def free_neighbour(self) -> Place:
        """Name a place beside it where nothing is, for an index that is made anew."""

    @abstractmethod
    def only_writer(self) -> AbstractContextManager[None]:
        """
        Let nobody else write, as long as the context lasts.

        :raises BlockingIOError: if another process writes; in the context, from :meth:`check_writer`.
        """

    @abstractmethod
    def check_writer(self) -> None:
        """
        Refuse to go on if another process may write by now.

        :raises BlockingIOError: if so; says what to do.
        """

    @abstractmethod
    def explained(self) -> AbstractContextManager[None]:
        """Replace what LanceDB says of a store that cannot be reached by one line that says what to do."""
