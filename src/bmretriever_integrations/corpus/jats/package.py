"""The files of a package of PubMed Central, one after another, without unpacking anything to the disk."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BufferedIOBase
from typing import Any, NamedTuple

from bmretriever_integrations.corpus.jats.article_stream import ARTICLE_BYTES, TOO_LARGE
from bmretriever_integrations.corpus.records import DamagedSource

ENDINGS = (".nxml", ".xml")
"""Endings of the files that are read. Beside them are pictures, PDFs and supplements."""
EARLIEST = 2000
"""Year before which the date of a file is none: PubMed Central began in it, and some programs write 1970."""


class Member(NamedTuple):
    """One file of a package that may hold an article."""

    name: str
    """Its path in the package; it is shown and never opened."""
    content: bytes
    changed: str | None
    """Date of its last change, in ISO 8601."""
    fault: str | None = None
    """The reason why it is not read."""


def members(stream: BufferedIOBase) -> Iterator[Member]:
    """
    Read the files that may hold an article.

    :param stream: the archive, from its start; it is read forwards only.
    :raises DamagedSource: if the archive is damaged or breaks off.
    """
    try:
        with tarfile.TarFile(fileobj=_Bounded(stream), tarinfo=_Entry) as archive:  # type: ignore[arg-type]
            while (entry := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # else they would pile up
                if entry.isreg() and _may_hold_an_article(entry.name):
                    yield _member(archive, entry)
    except DamagedSource:
        raise
    except (tarfile.TarError, ValueError, RecursionError) as error:  # of hostile headers tarfile raises the last two
        raise DamagedSource(f"the archive is damaged: {error}") from error


def _member(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> Member:
    if entry.size > ARTICLE_BYTES or entry.issparse():
        return Member(entry.name, b"", None, TOO_LARGE)
    file = archive.extractfile(entry)
    return Member(entry.name, b"" if file is None else file.read(), _day(entry.mtime))


def _may_hold_an_article(name: str) -> bool:
    file = name.rpartition("/")[2].lower()
    return file.endswith(ENDINGS) and not file.startswith(".")


def _day(seconds: float) -> str | None:
    try:
        changed = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    return changed.date().isoformat() if EARLIEST <= changed.year <= datetime.now(UTC).year + 1 else None


class _Bounded:
    """The stream, of which no header can make anyone read more at once than an article may have."""

    def __init__(self, stream: BufferedIOBase) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if size > ARTICLE_BYTES:
            raise DamagedSource(f"the archive is damaged: a header of {size:,} bytes")
        return self._stream.read(size)


class _Entry(tarfile.TarInfo):
    """A header of the archive. A place where there should be one, and is none, is damage and not the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Any:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if isinstance(error, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
                raise
            raise DamagedSource(f"the archive is damaged or breaks off: {error}") from error
