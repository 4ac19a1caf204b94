"""Read the records of large XML files, with one record in memory at a time."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree
from tqdm.auto import tqdm

from bmretriever_integrations.corpus.sources import check_file
from bmretriever_integrations.corpus.xml_root import SAFE


def read_elements(path: Path, root: str, tag: str, noun: str) -> Iterator[Any]:
    """
    Stream the root's children with a given tag. An element is emptied when the next one is requested.

    :param path: an XML file, or a gzipped one whose name ends in .gz.
    :param root: the tag of the root element, with its namespace in braces.
    :param tag: the tag of the children, with its namespace in braces.
    :param noun: the unit of the progress bar, which is shown on a terminal only.
    :raises FileNotFoundError: if the file is missing.
    :raises ValueError: if the file is an archive or a pipe, is not such XML or is damaged; the message contains line and column.
    """
    check_file(path)
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
                    while element.getprevious() is not None:  # else the root would keep all emptied elements in memory
                        del parent[0]
        except etree.XMLSyntaxError as error:
            raise ValueError(f"{path} is no well-formed XML: {error}") from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path} is cut short or damaged ({error}): fetch it again") from error
