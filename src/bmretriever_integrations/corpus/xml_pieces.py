"""Parse one citation that was cut out of its document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lxml import etree

from bmretriever_integrations.corpus.citation_stream import Piece
from bmretriever_integrations.corpus.xml_root import parser_of


def parsed(piece: Piece, is_one: Callable[[Any], bool]) -> Any:
    """
    Parse a piece.

    :param piece: a piece without a fault.
    :param is_one: tells that an element is not what remains of two where the bytes between them are lost.
    :returns: its element; None if it is not well-formed, or not one citation.
    :raises DamagedSource: if the document names an unknown encoding.
    """
    try:
        root = etree.fromstring(piece.head.opening + piece.content + piece.head.closing, parser_of(piece.head.encoding))
    except etree.XMLSyntaxError:
        return None
    return root[0] if len(root) == 1 and is_one(root[0]) else None
