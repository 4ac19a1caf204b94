"""The bytes of a file of PubMed or Europe PMC, cut into citations, so that a damaged one is the only one that is lost."""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import NamedTuple

from bmretriever_integrations.corpus.records import RECORD_BYTES, TOO_LARGE, DamagedSource

CHUNK = 1 << 16
LONGEST_TAG = 256
"""Bytes that are looked at again with the next chunk, because a tag may go on there."""
LONGEST_HEAD = 1 << 16
"""Most bytes of a document's type and root tag, which are parsed again with each citation."""
DAMAGED = "damaged XML"
CUT_SHORT = "a document that breaks off before the next one"
"""Reasons for which something of a file is left out."""

REST_OF_END = re.compile(rb"\s{0,200}>")
COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Shape:
    """The names by which the documents of one form are cut."""

    parts: tuple[bytes, ...]
    """Elements that are cut out."""
    roots: tuple[bytes, ...]
    number: bytes
    """Element with the number by which a citation is named; none stands outside of citations."""

    def __post_init__(self) -> None:
        """Make the patterns of the names."""
        parts, roots = b"|".join(self.parts), b"|".join(self.roots)
        start = rb"<(%b)(?:\s[^<>]{0,200})?(?<!/)>" % parts
        patterns = {
            "start": start,
            "edge": rb"</(?:%b)\s{0,200}>|(?=%b)" % (parts, start),
            "no_start": rb"<%b[\s>]|</(?:%b)[\s>]" % (self.number, parts),
            "stated": rb"<%b[^>]{0,40}>\s*(\w{1,12})\s*<" % self.number,
            "root": rb"<(?P<start>%b)(?:\s[^<>]*)?>|</(?:%b)\s*>" % (roots, roots),
        }
        for name, pattern in patterns.items():
            object.__setattr__(self, name, re.compile(pattern))

    start: re.Pattern[bytes] = field(init=False)
    edge: re.Pattern[bytes] = field(init=False)
    no_start: re.Pattern[bytes] = field(init=False)
    stated: re.Pattern[bytes] = field(init=False)
    root: re.Pattern[bytes] = field(init=False)


PUBMED = Shape(
    (b"PubmedArticle", b"PubmedBookArticle", b"DeleteCitation"), (b"PubmedArticleSet", b"PubmedBookArticleSet"), b"PMID"
)
EUROPE_PMC = Shape((b"result",), (b"responseWrapper",), b"id")
DECLARATION = re.compile(rb"<\?xml\s[^<>]*\?>")
ENCODING = re.compile(rb"encoding\s*=\s*[\"']([\w.:-]+)[\"']")
WIDE = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    b"<\x00": "utf-16-le",
    b"\x00<": "utf-16-be",
}
"""First bytes of a file in which each character has several bytes -> its encoding."""


class Head(NamedTuple):
    """What stands before the citations of a document and counts for each of them."""

    encoding: str = "utf-8"
    opening: bytes = b"<PubmedArticleSet>"
    """Document type and the root's start tag, with its namespaces."""
    closing: bytes = b"</PubmedArticleSet>"
    shape: Shape = PUBMED


class Piece(NamedTuple):
    """One citation, or one list of withdrawn ones."""

    head: Head
    content: bytes
    """From its start tag to its end tag, or what there is of it."""
    fault: str | None = None
    """The reason why it cannot be read."""

    @property
    def pmid(self) -> str:
        """The first number in it that names it, the PMID of a citation; or ""."""
        number = self.head.shape.stated.search(self.content)
        return number[1].decode() if number else ""


class CitationStream:
    """
    Cuts a document of PubMed or Europe PMC, or several of them one after another, into citations.

    What breaks off before its end tag, has lost its start tag or is larger than :data:`~.records.RECORD_BYTES` is a piece with a
    fault. No more than that size is held in memory: a small compressed file can hold a citation of gigabytes.
    """

    def __init__(self, stream: BufferedIOBase, shape: Shape = PUBMED) -> None:
        """
        :param stream: the unpacked file, from its start.
        :param shape: of its documents.
        """
        self._shape = shape
        self._data, self._place = stream.read1(CHUNK), 0
        wide = next((name for mark, name in WIDE.items() if self._data.startswith(mark)), None)
        self._decode = None if wide is None else codecs.getincrementaldecoder(wide)().decode
        self._data = self._utf8(self._data)
        self._stream, self._head, self._open, self._commented_out = stream, Head(shape=shape), False, False

    def __iter__(self) -> Iterator[Piece]:
        """
        Cut the file.

        :raises DamagedSource: if the file breaks off, or if more than that size holds no citation.
        """
        while (name := (yield from self._next_start())) is not None:
            for piece in self._citation(name):
                if not self._commented_out:
                    yield piece
        if self._commented_out:
            raise DamagedSource("a comment in it has no end")
        if self._open:
            raise DamagedSource("it breaks off before the end of its root element")

    def _fill(self) -> bool:
        chunk = self._stream.read1(CHUNK)
        self._data, self._place = self._data[self._place :] + self._utf8(chunk), 0
        return bool(chunk)

    def _utf8(self, chunk: bytes) -> bytes:
        if self._decode is None:
            return chunk
        try:
            return self._decode(chunk).encode("utf-8")
        except UnicodeError as error:
            raise DamagedSource(str(error)) from error

    def _next_start(self) -> Generator[Piece, None, bytes | None]:
        """Go to the next start tag, and return the name of its element, or None at the end."""
        looked_at = self._place
        while (found := self._shape.start.search(self._data, looked_at)) is None:
            held = len(self._data) - self._place
            if held > RECORD_BYTES:
                raise DamagedSource(f"more than {RECORD_BYTES:,} bytes hold no citation")
            if not self._fill():
                yield from self._between(self._data)
                return None
            looked_at = max(0, held - LONGEST_TAG)
        between, self._place = self._data[self._place : found.start()], found.start()
        yield from self._between(between)
        return found[1]

    def _citation(self, name: bytes) -> Iterator[Piece]:
        looked_at, whole = self._place, True
        while (end := self._end(name, looked_at)) is None:
            held = len(self._data) - self._place
            if held > RECORD_BYTES or not self._fill():
                end, whole = len(self._data), False
                break
            looked_at = max(0, held - LONGEST_TAG)
        content = self._data[self._place : end]
        following = None
        if any(content.find(b"<" + part, 1) >= 0 for part in self._shape.parts):
            following = self._shape.start.search(content, 1)
        if following is not None:
            content = content[: following.start()]
            self._place += following.start()
            yield Piece(self._head, content, DAMAGED)
            yield from self._roots(content)
        elif whole:
            self._place = end
            yield Piece(self._head, content)
        else:
            yield from self._broken(content)

    def _broken(self, content: bytes) -> Iterator[Piece]:
        """Pass over a citation that is too large."""
        piece = Piece(self._head, content, TOO_LARGE)
        if len(content) <= RECORD_BYTES:
            raise DamagedSource(f"it breaks off inside the citation with PMID {piece.pmid or '(none)'}")
        yield piece
        while (edge := self._shape.edge.search(self._data, self._place + 1)) is None:
            self._place = max(self._place + 1, len(self._data) - LONGEST_TAG)
            if not self._fill():
                raise DamagedSource(f"it breaks off inside the citation with PMID {piece.pmid or '(none)'}")
        self._place = edge.end()

    def _end(self, name: bytes, start: int) -> int | None:
        place = self._data.find(b"</" + name, start)
        while place >= 0:
            rest = REST_OF_END.match(self._data, place + 2 + len(name))
            if rest is not None:
                return rest.end()
            place = self._data.find(b"</" + name, place + 1)
        return None

    def _between(self, text: bytes) -> Iterator[Piece]:
        """Look at what stands between two citations: white space, or the end of a document and the head of another one."""
        if self._commented_out:
            text = b"<!--" + text
        if b"<!--" in text:
            self._commented_out = text.rfind(b"<!--") > text.rfind(b"-->")
            text = COMMENT.sub(b"", text)
        lost = self._shape.no_start.search(text)
        if lost is not None:
            yield Piece(self._head, text[lost.start() :], DAMAGED)
        yield from self._roots(text)

    def _roots(self, text: bytes) -> Iterator[Piece]:
        if not any(root in text for root in self._shape.roots):
            return
        for root in self._shape.root.finditer(text):
            if root["start"] is not None:
                if self._open:
                    yield Piece(self._head, b"", CUT_SHORT)
                self._head = _head(text, root, self._shape, "utf-8" if self._decode is not None else None)
            self._open = root["start"] is not None and not root[0].endswith(b"/>")


def _head(text: bytes, root: re.Match[bytes], shape: Shape, encoding: str | None) -> Head:
    declared = list(DECLARATION.finditer(text, 0, root.start()))
    named = ENCODING.search(declared[-1][0]) if declared else None
    begin = text.rfind(b"<!DOCTYPE", 0, root.start())
    # With a document type the parser keeps entities that it does not know, and without one it refuses them.
    kind = b'<!DOCTYPE %b SYSTEM "pubmed.dtd">' % root["start"] if begin < 0 else text[begin : root.start()]
    if len(kind) > LONGEST_HEAD:
        raise DamagedSource(f"its document type has more than {LONGEST_HEAD:,} bytes")
    encoding = encoding or (named[1].decode() if named else "utf-8")
    return Head(encoding, kind + root[0], b"</%b>" % root["start"], shape)
