"""JSON lines, plain or gzipped -> their values, one at a time. Their readers say what a value must hold, and word the errors."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
"""What the reading of a compressed file raises that is cut short or was changed."""


class NotJson(ValueError):
    """A line that cannot be read."""

    def __init__(self, reason: str, error: Exception) -> None:
        """
        :param reason: the same few words for all lines of the kind.
        :param error: what is wrong with this one.
        """
        super().__init__(f"{reason}: {error}")
        self.reason, self.error = reason, error


def unpacked(path: Path, file: IO[bytes]) -> IO[bytes]:
    """
    Look into a file that may be compressed.

    :param path: its name tells: ``.gz`` is.
    :param file: the open file; its ``tell()`` says how much of it was read.
    :returns: a stream of its content. Reading raises one of :data:`DAMAGE` where a compressed file breaks off.
    """
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if path.suffix.lower() == ".gz" else file


def read_values(
    lines: IO[bytes], parse_constant: Callable[[str], Any] | None = None
) -> Iterator[tuple[int, Any | NotJson]]:
    """
    Read one value after another. Blank lines are passed over; a line may begin with a byte order mark.

    :param lines: the content, as :func:`unpacked` gives it.
    :param parse_constant: makes the values of NaN, Infinity and -Infinity; a ValueError of it makes the line none.
    :returns: an iterator over the line's number, from 1, and its value; a :class:`NotJson` where it has none.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, _value(line, parse_constant)


def _value(line: bytes, parse_constant: Callable[[str], Any] | None) -> Any | NotJson:
    try:
        return json.loads(line.decode("utf-8-sig"), parse_constant=parse_constant)
    except UnicodeDecodeError as error:
        return NotJson("not UTF-8", error)
    except (ValueError, RecursionError) as error:  # brackets without end
        return NotJson("not JSON", error)
