"""An index on an object store: the manifest is an object beside those of LanceDB's table."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from typing import Any, BinaryIO, cast

from bmretriever_integrations.index.places.access import file_system_of, options_of
from bmretriever_integrations.index.places.database import check_not_forked
from bmretriever_integrations.index.places.lease import Lease
from bmretriever_integrations.index.places.place import Place
from bmretriever_integrations.index.places.refusals import is_of_a_store, refusal
from bmretriever_integrations.index.places.urls import Url

BLOCK = 1 << 24
"""Bytes of one request where a file is read whole."""


class ObjectStore(Place):
    """A folder in a bucket. See :class:`~.place.Place` for the methods; each raises ConnectionError if the store refuses it."""

    is_local = False

    def __init__(self, url: Url) -> None:
        """
        :param url: bucket and folder; nothing needs to be there.
        """
        self._url, self.given = url, str(url)
        self._lease: Lease | None = None

    def __str__(self) -> str:
        return str(self._url)

    @cached_property
    def options(self) -> Mapping[str, str] | None:
        """What LanceDB is told."""
        return options_of(self._url)

    @cached_property
    def _opened(self) -> Any:
        return file_system_of(self._url)

    @property
    def _files(self) -> Any:
        check_not_forked()
        return self._opened

    def _path(self, name: str) -> str:
        return f"{self._url.path}/{name}" if name else self._url.path

    def address_of(self, name: str) -> str:
        """Return the URL of an object."""
        return f"{self}/{name}"

    def read(self, name: str) -> bytes | None:
        """Read a small object."""
        with self.explained():
            try:
                with self._files.open_input_file(self._path(name)) as file:
                    return cast(bytes, file.read())
            except FileNotFoundError:
                self._check_bucket()
                return None

    def _check_bucket(self) -> None:
        from pyarrow.fs import FileType

        if self._files.get_file_info(self._url.bucket).type == FileType.NotFound:
            raise refusal(str(self), OSError("<Code>NoSuchBucket</Code>"))

    def write(self, name: str, content: bytes) -> None:
        """Put an object. No store shows a part of one."""
        self.check_writer()
        with self.explained(), self._files.open_output_stream(self._path(name)) as file:
            file.write(content)

    def state_of(self, name: str) -> Hashable:
        """Return the store's own marks of the object, such as its ETag."""
        with self.explained(), self._files.open_input_file(self._path(name)) as file:
            return tuple(sorted(file.metadata().items()))

    def open(self, name: str) -> BinaryIO:
        """Open an object."""
        with self.explained():
            return cast(BinaryIO, self._files.open_input_stream(self._path(name), buffer_size=BLOCK))

    def files(self, below: str = "") -> Iterator[tuple[str, int]]:
        """List objects at any depth: one request for a thousand."""
        found = [(entry.path, entry.size) for entry in self._list(below, recursive=True) if entry.is_file]
        start = len(self._url.path) + 1
        yield from sorted((path[start:], int(size)) for path, size in found)

    def names(self) -> list[str]:
        """List what lies directly in it."""
        found = self._list("", recursive=False)
        if not found:
            with self.explained():
                self._check_bucket()
        return [entry.base_name for entry in found]

    def _list(self, below: str, *, recursive: bool) -> list[Any]:
        with self.explained():
            from pyarrow.fs import FileSelector

            selector = FileSelector(self._path(below), allow_not_found=True, recursive=recursive)
            return cast(list[Any], self._files.get_file_info(selector))

    def make(self) -> None:
        """Do nothing: an object store has no folders."""

    def free_neighbour(self) -> Place:
        """Return a place beside it where no object is."""
        others = (ObjectStore(self._url._replace(path=f"{self._url.path}-{number}")) for number in count(2))
        return next(other for other in others if not other.names())

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Hold the lease of the index."""
        lease = Lease(self)
        lease.take()
        self._lease = lease
        try:
            yield
        finally:
            self._lease = None
            lease.give_back()

    def check_writer(self) -> None:
        """Refuse to go on with a lease that may be another's by now."""
        if self._lease is not None:
            self._lease.check()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Replace what libraries say of the store by one line."""
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            if not is_of_a_store(error):
                raise
            # not "from error": a traceback would show the library's text
            raise refusal(str(self), error) from None
