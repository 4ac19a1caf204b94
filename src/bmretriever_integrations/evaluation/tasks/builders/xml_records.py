"""Big XML files -> their records, one in memory at a time."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree
from tqdm.auto import tqdm

from bmretriever_integrations.corpus.pubmed import SAFE


def read_elements(path: Path, root: str, tag: str, noun: str) -> Iterator[Any]:
    """
    Stream the children of the root that have one tag; each is emptied when the next is asked for.

    :param path: .xml, or gzipped with a name that ends in .gz.
    :param root: tag of the root element, with its namespace in braces.
    :param tag: tag of the children, likewise.
    :param noun: what the progress bar counts; it shows on a terminal only.
    :raises ValueError: if the file is no such XML or is damaged, with line and column.
    """
    with (
        gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file,
        tqdm(desc=path.name, unit=f" {noun}", disable=None) as bar,
    ):
        try:
            for event, element in etree.iterparse(file, events=("start", "end"), **SAFE):
                parent = element.getparent()
                if parent is None:
                    if event == "start" and element.tag != root:
                        raise ValueError(f"{path}: the root must be <{root}>, got <{element.tag}>")
                elif event == "end" and element.tag == tag and parent.getparent() is None:
                    yield element
                    bar.update()
                    element.clear()
                    while element.getprevious() is not None:  # else emptied elements pile up under the root
                        del parent[0]
        except etree.XMLSyntaxError as error:
            raise ValueError(f"{path} is no well-formed XML: {error}") from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path} is cut short or damaged ({error}): fetch it again") from error


def text_of(element: Any) -> str:
    """
    Give an element's text, its markup fallen away and its white space collapsed.

    :param element: an element, or None for "".
    """
    return "" if element is None else " ".join("".join(element.itertext()).split())
