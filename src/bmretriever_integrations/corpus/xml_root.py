"""The root element of an XML file, which tells the forms of XML apart."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import IO

from lxml import etree

from bmretriever_integrations.corpus.records import DamagedSource
from bmretriever_integrations.corpus.refusals import advice_by_content

SAFE = {"resolve_entities": False, "no_network": True, "load_dtd": False, "remove_comments": True, "remove_pis": True}
"""Options of lxml's parsers. A file may come from an unknown source: nothing outside it is fetched, no entity is expanded."""


@lru_cache(maxsize=4)
def parser_of(encoding: str) -> etree.XMLParser:
    """
    Return the parser of documents in an encoding.

    :param encoding: its name, as the document states it.
    :raises DamagedSource: if there is no such encoding.
    """
    try:
        return etree.XMLParser(encoding=encoding, **SAFE)
    except LookupError as error:
        raise DamagedSource(f"its encoding {encoding!r} is unknown") from error


def root_of(stream: IO[bytes], path: Path, beginning: str) -> str:
    """
    Find the root element of a file.

    :param stream: the file's content from its start.
    :param path: the file, for the message.
    :param beginning: its first characters, for the message.
    :returns: its name without a namespace.
    :raises DamagedSource: if the file is no XML.
    """
    try:
        _event, root = next(etree.iterparse(stream, events=("start",), **SAFE))
    except (etree.XMLSyntaxError, StopIteration) as error:
        raise DamagedSource(f"{path} is no XML: {error}; {advice_by_content(beginning)}") from error
    return str(etree.QName(root).localname)
