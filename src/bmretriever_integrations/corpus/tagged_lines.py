"""Files of tagged lines, such as MEDLINE's and RIS: the bytes to text, cut into records, with one of them in memory at a time."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedReader, TextIOWrapper

from bmretriever_integrations.corpus.records import RECORD_BYTES, TOO_LARGE, DamagedSource

NOT_UTF8 = "not UTF-8"
UNDECODED = re.compile("[\udc80-\udcff]")
"""Stands for a byte that is not UTF-8."""
MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig"}


@dataclass
class Block:
    """The lines of one record."""

    number: int
    """Number of its first line in the file, from 1."""
    lines: list[str] = field(default_factory=list)
    size: int = 0
    fault: str | None = None
    """The reason why it cannot be read."""


def read_blocks(stream: BufferedReader, begins: Callable[[str, Block | None], bool]) -> Iterator[Block]:
    """
    Cut a file into records. What stands before the first one is passed over.

    Any kind of line end counts. A record that is not UTF-8 is read as Windows-1252, in which old reference managers write, unless
    it holds other characters in UTF-8: then it is damaged.

    :param stream: the unpacked file, from its start.
    :param begins: tells, from a line and the record before it, whether a record begins with this line.
    :returns: an iterator over the records. Of one of more than :data:`~.records.RECORD_BYTES` characters the beginning is kept.
    :raises DamagedSource: if the text cannot be decoded.
    """
    mark = next((mark for mark in MARKS if stream.peek(4).startswith(mark)), b"")
    text = TextIOWrapper(stream, MARKS.get(mark, "utf-8"), errors="surrogateescape")
    block: Block | None = None
    within = False  # a line that is longer than what is read of it at once
    try:
        number = 0
        while line := text.readline(RECORD_BYTES):
            number += not within
            if not within and begins(line, block):
                if block is not None:
                    yield _decoded(block)
                block = Block(number)
            within = not line.endswith("\n")
            if block is not None:
                _add(block, line)
    except UnicodeError as error:
        raise DamagedSource(str(error)) from error
    finally:
        with suppress(ValueError):  # the caller may have closed the file already
            text.detach()  # else it would close the file
    if block is not None:
        yield _decoded(block)


def _add(block: Block, line: str) -> None:
    block.size += len(line)
    if block.size > RECORD_BYTES:
        block.fault = TOO_LARGE
    else:
        block.lines.append(line.rstrip("\n"))


def _decoded(block: Block) -> Block:
    text = "\n".join(block.lines)
    if block.fault is None and UNDECODED.search(text):
        try:
            if not UNDECODED.sub("", text).isascii():
                raise UnicodeError
            block.lines = text.encode("utf-8", "surrogateescape").decode("cp1252").split("\n")
        except UnicodeError:
            block.fault = NOT_UTF8
    return block
