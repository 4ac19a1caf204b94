"""Sources -> rows under our column names, each with its file and line. One row is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmretriever_integrations.corpus import read_corpus
from bmretriever_integrations.corpus.json_lines import DAMAGE, NotJson, read_values, unpacked
from bmretriever_integrations.corpus.records import CorpusReport
from bmretriever_integrations.training.pairs.columns import Columns, detect
from bmretriever_integrations.training.pairs.current import Current
from bmretriever_integrations.training.pairs.settings import Source
from bmretriever_integrations.training.pairs.values import Row


@dataclass
class Reading:
    """How much of one source has been read."""

    share: float = 0.0
    """Share of the source that has been read, 0 to 1; 0 where the size is unknown."""
    skipped: int = 0
    """Number of PubMed citations that are damaged, or have no PMID or text."""
    superseded: int = 0
    """Number of PubMed citations that were withdrawn, or of which there is a later version."""


def check(source: Source) -> Columns:
    """
    Check a source before any work: all lines of JSONL, the first row of others.

    :param source: the source.
    :returns: its columns.
    :raises FileNotFoundError: if it is missing.
    :raises ValueError: if it is empty, malformed (names file and line), or lacks a column.
    """
    if not source.is_local:
        from bmretriever_integrations.training.pairs.hub import read_rows

        first = next(read_rows(source), None)
        if first is None:
            raise ValueError(f"{source.path} holds no row")
        columns = detect(first[1], source)
        columns.pick(*first)
        return columns
    read_corpus([source.path])  # only checks the file: there, not empty, gzip, PubMed's root
    if _is_xml(Path(source.path)):
        return detect({"id": "", "title": "", "text": ""}, source)
    return _check_lines(source)


def _check_lines(source: Source) -> Columns:
    """Find the columns by all rows, because a row may leave out what it has none of, and check every row."""
    found: Columns | None = None
    known: dict[str, None] = {}
    for where, row in _lines(Path(source.path), Reading()):
        if found is None or not row.keys() <= known.keys():
            known.update(dict.fromkeys(row))
            before, found = found, detect(known, source)
            if before is not None and before.labelled != found.labelled:
                raise ValueError(f"{where}: a labelled row among documents; give labelled rows a file of their own")
        found.pick(where, row)
    if found is None:
        raise ValueError(f"{source.path} holds no row")
    return found


def current_of(sources: Sequence[Source]) -> Current:
    """
    Find out which citations of the PubMed files among the sources are current.

    :param sources: the sources; PubMed files in the order in which they were published.
    :raises DamagedSource: if a PubMed file is damaged.
    """
    return Current([Path(source.path) for source in sources if source.is_local and _is_xml(Path(source.path))])


def read(source: Source, columns: Columns, reading: Reading, current: Current) -> Iterator[tuple[str, Row]]:
    """
    Read the rows of a checked source.

    :param source: the source.
    :param columns: as :func:`check` found them.
    :param reading: is updated while rows are read.
    :param current: from :func:`current_of`; only current citations are returned.
    :returns: for each row, file and id (or row number), and its values under our names.
    :raises ValueError: if a row lacks a column or has another type in it.
    :raises DamagedSource: if a PubMed file breaks off.
    """
    if _is_xml(Path(source.path)):
        report, name = CorpusReport(), Path(source.path).name
        for record in current.only(read_corpus([source.path], report), Path(source.path)):
            reading.share, reading.skipped = report.share_read, sum(report.skipped.values())
            if record is None:
                reading.superseded += 1
                continue
            yield f"{name}:{record.id}", Row({"id": record.id, "title": record.title, "text": record.text})
        return
    if source.is_local:
        rows = _lines(Path(source.path), reading)
    else:
        from bmretriever_integrations.training.pairs.hub import read_rows

        rows = read_rows(source)
    for where, row in rows:
        yield where, columns.pick(where, row)


def _lines(path: Path, reading: Reading) -> Iterator[tuple[str, dict[str, Any]]]:
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            for number, row in read_values(unpacked(path, file)):
                if isinstance(row, NotJson):
                    raise ValueError(f"{path}:{number}: {row}") from row
                if not isinstance(row, dict):
                    raise ValueError(f"{path}:{number}: expected a JSON object, got {type(row).__name__}")
                reading.share = file.tell() / size
                yield f"{path.name}:{number}", row
    except DAMAGE as error:
        raise ValueError(f"{path} is damaged: {error}; fetch it again") from error


def _is_xml(path: Path) -> bool:
    return path.name.lower().endswith((".xml", ".xml.gz"))
