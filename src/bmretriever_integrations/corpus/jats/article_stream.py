"""The bytes of a file of JATS, cut into articles, so that a damaged one is the only one that is lost."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import lru_cache
from io import BufferedIOBase
from typing import Any, NamedTuple

from lxml import etree

from bmretriever_integrations.corpus.citation_stream import DAMAGED, DECLARATION, ENCODING, WIDE
from bmretriever_integrations.corpus.pubmed import SAFE
from bmretriever_integrations.corpus.records import DamagedSource

ARTICLE_BYTES = 50_000_000
"""Most bytes of an article; its tree takes about eight times as many. Articles with long tables have up to 30 MB."""
TOO_LARGE = f"larger than {ARTICLE_BYTES // 1_000_000} MB"
CHUNK = 1 << 16
LONGEST_TAG = 4096
"""Bytes that are looked at again with the next chunk, because a tag may go on there."""
START = re.compile(rb"<(?P<name>(?:[\w.-]{1,40}:)?article)(?:\s[^<>]{0,4000})?>")
NAMESPACE = re.compile(rb"""\sxmlns:[\w.-]{1,40}\s*=\s*(?:"[^"<>]*"|'[^'<>]*')""")
NUMBER = re.compile(rb"<(?:[\w.-]+:)?article-id[^<>]*>\s*([^<>\s]{1,100})\s*<")
OPENING = b'<!DOCTYPE article SYSTEM "jats.dtd">'
"""With a document type the parser keeps entities that it does not know, and without one it refuses them."""
PREFIXES = b"".join(
    b' xmlns:%b="%b"' % (prefix, address)
    for prefix, address in (
        (b"xlink", b"http://www.w3.org/1999/xlink"),
        (b"mml", b"http://www.w3.org/1998/Math/MathML"),
        (b"xsi", b"http://www.w3.org/2001/XMLSchema-instance"),
        (b"ali", b"http://www.niso.org/schemas/ali/1.0/"),
    )
)
"""Namespaces that articles use, if only because their document type declares them."""


class Piece(NamedTuple):
    """One article."""

    content: bytes
    """From its start tag to its end tag, or what there is of it."""
    encoding: str = "utf-8"
    namespaces: bytes = b""
    """Attributes that declare the namespaces of the elements around it."""
    fault: str | None = None
    """The reason why it cannot be read."""

    @property
    def number(self) -> str:
        """The first id in it, or ""."""
        found = NUMBER.search(self.content)
        return found[1].decode("utf-8", "replace") if found else ""


class ArticleStream:
    """
    Cuts a file into articles: one article, or many in the answer of a server.

    What is larger than :data:`ARTICLE_BYTES`, or breaks off where the next article begins, is a piece with a fault.
    """

    def __init__(self, stream: BufferedIOBase) -> None:
        """
        :param stream: the unpacked file, from its start.
        """
        self._stream, self._data = stream, stream.read1(CHUNK)
        wide = next((name for mark, name in WIDE.items() if self._data.startswith(mark)), None)
        self._decode = None if wide is None else codecs.getincrementaldecoder(wide)().decode
        self._data = self._utf8(self._data)
        declared = None if wide is not None else DECLARATION.search(self._data, 0, 1000)
        named = ENCODING.search(declared[0]) if declared else None
        self._encoding, self._namespaces = named[1].decode() if named else "utf-8", b""

    def __iter__(self) -> Iterator[Piece]:
        """
        Cut the file.

        :raises DamagedSource: if it breaks off inside an article.
        """
        while (name := self._next_start()) is not None:
            yield self._article(name)

    def _fill(self) -> bool:
        chunk = self._stream.read1(CHUNK)
        self._data += self._utf8(chunk)
        return bool(chunk)

    def _utf8(self, chunk: bytes) -> bytes:
        if self._decode is None:
            return chunk
        try:
            return self._decode(chunk, not chunk).encode("utf-8")
        except UnicodeError as error:
            raise DamagedSource(str(error)) from error

    def _next_start(self) -> bytes | None:
        """Go to the next start tag, and return the name of its element, or None at the end."""
        while (found := START.search(self._data)) is None:
            self._note_namespaces(self._data)
            self._data = self._data[-LONGEST_TAG:]
            if not self._fill():
                return None
        self._note_namespaces(self._data[: found.start()])
        self._data = self._data[found.start() :]
        return found["name"]

    def _note_namespaces(self, between: bytes) -> None:
        if b"xmlns:" in between:
            self._namespaces = b"".join(NAMESPACE.findall(between))[:LONGEST_TAG]

    def _article(self, name: bytes) -> Piece:
        end, looked_at, parts = b"</%b" % name, 1, [self._data]
        size = len(self._data)
        whole = re.compile(rb"%b\s*>" % re.escape(end))
        while (found := whole.search(self._data, looked_at)) is None:
            looked_at = max(1, len(self._data) - LONGEST_TAG)
            if len(self._data) > ARTICLE_BYTES:
                return self._too_large(whole)
            if not self._fill():
                raise DamagedSource(f"it breaks off inside the article {Piece(self._data).number or 'without an id'}")
        following = START.search(self._data, 1, found.end())
        stop = found.end() if following is None else following.start()
        content, self._data = self._data[:stop], self._data[stop:]
        return Piece(content, self._encoding, self._namespaces, None if following is None else DAMAGED)

    def _too_large(self, whole: re.Pattern[bytes]) -> Piece:
        """Pass over an article, of which no more is held."""
        piece = Piece(self._data[:CHUNK], fault=TOO_LARGE)
        while (found := whole.search(self._data)) is None:
            self._data = self._data[-LONGEST_TAG:]
            if not self._fill():
                raise DamagedSource(f"it breaks off inside the article {piece.number or 'without an id'}")
        self._data = self._data[found.end() :]
        return piece


def parsed(piece: Piece) -> Any:
    """
    Parse an article. Nothing outside the file is read, and no entity is expanded.

    :param piece: the article, without a fault.
    :returns: its element, whose names have no namespace; None if it is not well-formed.
    :raises DamagedSource: if its encoding is unknown.
    """
    namespaces = b"".join(dict.fromkeys(NAMESPACE.findall(PREFIXES + piece.namespaces)))
    ...
