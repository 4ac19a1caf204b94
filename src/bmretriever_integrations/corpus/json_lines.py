"""Read JSON lines, plain or gzipped, one value at a time. The callers check the values and write the error messages."""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader
from itertools import count
from pathlib import Path
from typing import IO, Any, cast

from bmretriever_integrations.corpus.records import RECORD_BYTES, TOO_LARGE

DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
"""The errors that reading raises where a compressed file is cut short or was changed."""

PACKED = (".gz", ".tgz")
"""Endings of compressed files."""
UNPACKED_AT_ONCE = 1 << 20
"""Bytes that are unpacked together while a checksum is verified."""


class NotJson(ValueError):
    """A line that cannot be read."""

    def __init__(self, reason: str, error: Exception) -> None:
        """
        :param reason: a few words, which are the same for all lines with this fault.
        :param error: the error of this line.
        """
        super().__init__(f"{reason}: {error}")
        self.reason, self.error = reason, error


def unpacked(path: Path, file: BufferedReader) -> BufferedReader:
    """
    Unpack a file that may be compressed.

    :param path: the path of the file; it is compressed if its name ends in one of :data:`PACKED`.
    :param file: the open file; its ``tell()`` says how many bytes of it were read.
    :returns: a stream of its content. Reading raises one of :data:`DAMAGE` where a compressed file is damaged.
    """
    return cast("BufferedReader", gzip.GzipFile(fileobj=file)) if path.suffix.lower() in PACKED else file


def verify(path: Path, file: BufferedReader) -> None:
    """
    Unpack a compressed file once to its end, where its checksum stands: a changed byte often shows nowhere else, but garbles
    all that follows it. This takes a tenth of the time of parsing the file.

    What stands before the place where a file is cut short is whole, so such a file passes, and reading it ends with the error.

    :param path: the path of the file; it is compressed if its name ends in one of :data:`PACKED`.
    :param file: the open file, which is at its start before and afterwards.
    :raises gzip.BadGzipFile: if the checksum is not that of the content.
    :raises zlib.error: if the content cannot be unpacked.
    """
    if path.suffix.lower() in PACKED:
        stream = unpacked(path, file)
        with contextlib.suppress(EOFError):
            while stream.read(UNPACKED_AT_ONCE):
                pass
        file.seek(0)


def read_values(
    lines: IO[bytes], parse_constant: Callable[[str], Any] | None = None
) -> Iterator[tuple[int, Any | NotJson]]:
    """
    Read one value after another. Blank lines are skipped; a line may begin with a byte order mark. Of a line that is longer than
    :data:`~.records.RECORD_BYTES` no more than that is held in memory.

    :param lines: the content, as :func:`unpacked` returns it.
    :param parse_constant: makes the values of NaN, Infinity and -Infinity. If it raises ValueError, the line is unreadable.
    :returns: an iterator over pairs of the line's number, from 1, and its value. The value of an unreadable line is a
        :class:`NotJson`.
    """
    for number in count(1):
        line = lines.readline(RECORD_BYTES + 1)
        if not line:
            return
        if len(line) > RECORD_BYTES and not line.endswith(b"\n"):
            yield number, NotJson(TOO_LARGE, ValueError(f"a line may have {RECORD_BYTES:,} bytes"))
            while line and not line.endswith(b"\n"):
                line = lines.readline(RECORD_BYTES)
        elif line.strip():
            yield number, _value(line, parse_constant)


def _value(line: bytes, parse_constant: Callable[[str], Any] | None) -> Any | NotJson:
    try:
        return json.loads(line.decode("utf-8-sig"), parse_constant=parse_constant)
    except UnicodeDecodeError as error:
        return NotJson("not UTF-8", error)
    except (ValueError, RecursionError) as error:  # RecursionError: thousands of nested brackets
        return NotJson("not JSON", error)
