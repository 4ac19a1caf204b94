"""Read records from PubMed XML and BEIR JSONL files, plain or gzipped, as a stream."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from bmretriever_integrations.corpus.json_lines import DAMAGE, NotJson, read_values, unpacked, verify
from bmretriever_integrations.corpus.records import CorpusReport, DamagedSource, Record, fault
from bmretriever_integrations.prompts import is_missing

__all__ = ["CorpusReport", "DamagedSource", "Record", "read_corpus"]

KINDS = (".xml", ".xml.gz", ".jsonl", ".jsonl.gz")
NAMES = {"_id": ("_id", "id", "docid"), "title": ("title",), "text": ("text", "content", "contents")}
"""BEIR's name -> the names that are read, the first that is there: BEIR's, R2MED's, MedRAG's and Anserini's. MedRAG's
``contents`` is title and ``content`` together."""
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".bz2", ".xz", ".zst", ".7z")


def read_corpus(sources: Sequence[str | Path], report: CorpusReport | None = None) -> Generator[Record, None, None]:
    """
    Read records one after another; memory does not grow with the corpus.

    A malformed record, one with neither title nor text, or one of more than 10 MB is left out and counted. Several records may
    have the same id, e.g. later versions of a PubMed citation. All of them are returned; the caller must use the last one.

    The checksum of a compressed file is verified before its first record is returned, so that no garbled record is. Of a file
    that is cut short, the records before the cut are returned.

    :param sources: PubMed files (.xml, .xml.gz) and JSON lines (.jsonl, .jsonl.gz; keys ``_id``,
        ``title``, ``text`` as in BEIR, or those of MedRAG, Anserini or R2MED: :data:`NAMES`). A whole number as id becomes text.
    :param report: a report that is updated while records are read; None means that no report is wanted.
    :returns: a generator, whose ``close`` closes the file. It raises :class:`DamagedSource` where a file is damaged.
    :raises FileNotFoundError: if a source is missing.
    :raises ValueError: if a source is empty, no regular file, of another kind, or given twice. All sources are checked before the
        first record is read.
    """
    if isinstance(sources, str | Path):
        raise TypeError(f"sources must be a list of files, got one {type(sources).__name__}: write [source]")
    paths = [Path(source) for source in sources]
    if not paths:
        raise ValueError("no source was given")
    for path in paths:
        _check(path)
    twice = {path.resolve() for path in paths}
    if len(twice) < len(paths):
        raise ValueError("a source is given twice; its records would count twice")
    return _read(paths, CorpusReport() if report is None else report)


def check_file(path: Path) -> None:
    """
    Refuse what no reader can read, whatever kind of file it expects.

    :param path: a source.
    :raises FileNotFoundError: if it is missing.
    :raises ValueError: if it is a folder, a pipe, a device or an archive.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name its files, e.g. {path}/*.xml.gz")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.is_file():
        raise ValueError(f"{path} is a pipe or a device; sources are read more than once, so save it as a file first")
    if path.name.lower().endswith(ARCHIVES):
        raise ValueError(f"{path} is an archive; unpack it, and name the file in it")


def _check(path: Path) -> None:
    check_file(path)
    if not path.name.lower().endswith(KINDS):
        raise ValueError(
            f"{path} ends in none of {', '.join(KINDS)}; docs/records.md says how to get records in these forms"
        )
    with path.open("rb") as raw:
        try:
            if not unpacked(path, raw).read(1):
                raise ValueError(f"{path} is empty")
            if is_xml(path):
                from bmretriever_integrations.corpus.pubmed import check_root

                raw.seek(0)
                check_root(unpacked(path, raw), str(path))
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} cannot be read as gzip: {error}") from error


def is_xml(path: Path) -> bool:
    """
    Tell by its ending whether a source is XML.

    :param path: the source.
    """
    return path.name.lower().endswith((".xml", ".xml.gz"))


def _read(paths: list[Path], report: CorpusReport) -> Generator[Record, None, None]:
    total = sum(path.stat().st_size for path in paths)
    before = 0
    for path in paths:
        from_here = report.records
        with path.open("rb") as raw:
            try:
                verify(path, raw)
                for record in _parse(path, unpacked(path, raw), report):
                    report.records += 1
                    report.share_read = (before + raw.tell()) / total
                    yield record
            except (*DAMAGE, DamagedSource) as error:
                raise DamagedSource(
                    f"{path} is damaged after its first {report.records - from_here} records: {error}. Repair the file or "
                    "fetch it again, then run the same command: it continues after those records."
                ) from error
        before += path.stat().st_size
    report.share_read = 1.0


def _parse(path: Path, stream: IO[bytes], report: CorpusReport) -> Iterator[Record]:
    if is_xml(path):
        from bmretriever_integrations.corpus.pubmed import read_citations

        return read_citations(stream, path.name, report)
    return _read_lines(stream, path.name, report)


def _read_lines(stream: IO[bytes], name: str, report: CorpusReport) -> Iterator[Record]:
    for number, entry in read_values(stream):
        record, reason = (None, entry.reason) if isinstance(entry, NotJson) else _record(entry)
        if record is not None:
            yield record
        else:
            report.skip(f"{name}:{number}", reason)


def _record(entry: Any) -> tuple[Record | None, str]:
    """Make the record of one line, or return None and the reason why there is none."""
    if not isinstance(entry, dict):
        return None, "not a JSON object"
    taken = {ours: next((name for name in names if name in entry), ours) for ours, names in NAMES.items()}
    values: dict[str, Any] = {ours: entry.get(name) for ours, name in taken.items()}
    if is_missing(values["title"]):
        values["title"] = ""
    if isinstance(values["_id"], int) and not isinstance(values["_id"], bool):
        values["_id"] = str(values["_id"])
    for ours, value in values.items():
        if ours != "title" and taken[ours] not in entry:
            return None, f"no {ours}"
        if not isinstance(value, str):
            return None, f"{taken[ours]} is not a string"
    record = Record(values["_id"], values["title"], values["text"])
    reason = fault(record)
    return (record, "") if reason is None else (None, reason)
