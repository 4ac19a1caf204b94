"""A PubMed file without the citations that are too large to be held in memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import IO

from bmretriever_integrations.corpus.records import RECORD_BYTES, DamagedSource

CHUNK = 1 << 16
LONGEST_TAG = 64
"""Bytes that are kept at the end of a chunk, because a tag may go on in the next one."""
START = re.compile(rb"<Pubmed(?:Book)?Article[\s>]")
END = re.compile(rb"</Pubmed(?:Book)?Article\s*>")
NUMBER = re.compile(rb"<PMID[^>]{0,40}>\s*(\d{1,12})\s*<")


class CitationStream:
    """
    Passes the bytes of a PubMed file on, each citation whole or not at all.

    An XML parser holds a citation in memory until it ends, and a small compressed file can hold one of gigabytes.
    """

    def __init__(self, stream: IO[bytes], skip: Callable[[str], None]) -> None:
        """
        :param stream: the unpacked file.
        :param skip: is called with the PMID, or "", of each citation that is left out for its size.
        """
        self._stream, self._skip = stream, skip
        self._held = b""
        self._inside = self._dropped = self._ended = False
        self._outside = 0

    def read(self, _size: int = -1) -> bytes:
        """
        Read on.

        :returns: some bytes, or b"" at the end.
        :raises DamagedSource: if there is no citation within :data:`~.records.RECORD_BYTES` bytes.
        """
        while not self._ended:
            chunk = self._stream.read(CHUNK)
            self._ended = not chunk
            passed = self._pass(chunk)
            if self._ended and not self._dropped:
                passed += self._held
            if passed:
                return passed
        return b""

    def _pass(self, chunk: bytes) -> bytes:
        data, passed, place = self._held + chunk, [], 0
        looked_at = max(0, len(self._held) - LONGEST_TAG)
        while True:
            found = (END if self._inside else START).search(data, max(place, looked_at))
            if found is None:
                break
            stop = found.end() if self._inside else found.start()
            if not self._dropped:
                passed.append(data[place:stop])
            self._outside = 0
            self._inside, self._dropped, place = not self._inside, False, stop
        self._held = data[place:]
        if not self._inside:
            self._held, free = (
                data[max(place, len(data) - LONGEST_TAG) :],
                data[place : max(place, len(data) - LONGEST_TAG)],
            )
            passed.append(free)
            self._count(len(free))
        elif self._dropped or len(self._held) > RECORD_BYTES:
            self._drop()
        return b"".join(passed)

    def _count(self, free: int) -> None:
        self._outside += free
        if self._outside > RECORD_BYTES:
            raise DamagedSource(f"more than {RECORD_BYTES:,} bytes hold no citation")

    def _drop(self) -> None:
        if not self._dropped:
            number = NUMBER.search(self._held)
            self._skip(number[1].decode() if number else "")
        self._dropped, self._held = True, self._held[-LONGEST_TAG:]
