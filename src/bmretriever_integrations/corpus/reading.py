"""Read records from files of every known form, plain or gzipped, as a stream."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path

from bmretriever_integrations.corpus.json_lines import unpacked, verify
from bmretriever_integrations.corpus.records import CorpusReport, DamagedSource, Record, Splitter
from bmretriever_integrations.corpus.sources import check_content, check_sources


def read_corpus(
    sources: Sequence[str | Path],
    report: CorpusReport | None = None,
    *,
    strict: bool = True,
    splitter: Splitter | None = None,
) -> Generator[Record, None, None]:
    """
    Read records one after another; memory does not grow with the corpus.

    A malformed record, one with neither title nor text, or one of more than 10 MB is left out and counted. Several records may
    have the same id, e.g. later versions of a PubMed citation. All of them are returned; the caller must choose among them.

    The checksum of a compressed file is verified before its first record is returned, so that no garbled record is. Of a file
    that is cut short, the records before the cut are returned.

    :param sources: files of any of :data:`~.forms.FORMS`, e.g. PubMed's XML (.xml) and tagged lines (.nbib, .txt), RIS (.ris), or
        JSON lines (.jsonl; keys ``_id``, ``title``, ``text`` as in BEIR, or those of MedRAG, Anserini or R2MED:
        :data:`~.json_records.NAMES`); each may be packed as .gz.
    :param report: a report that is updated while records are read; None means that no report is wanted.
    :param strict: refuses unreadable sources. False goes on with the next source, and the report names the damaged one.
    :param splitter: cuts the long texts of full-text articles into passages; None means that they stay whole.
    :returns: a generator, whose ``close`` closes the file. With ``strict`` it raises :class:`DamagedSource` where a file is
        damaged.
    :raises FileNotFoundError: if a source is missing.
    :raises ValueError: if a source is no regular file, of another kind, or given twice; with ``strict`` also if it is empty, or
        not what its name says. All sources are checked before the first record is read.
    """
    paths = check_sources(sources, strict=strict)
    report = CorpusReport() if report is None else report
    report.bytes_total += sum(path.stat().st_size for path in paths)
    return _read(paths, report, strict, splitter)


def _read(
    paths: list[Path], report: CorpusReport, strict: bool, splitter: Splitter | None
) -> Generator[Record, None, None]:
    for path in paths:
        with suppress(*() if strict else (DamagedSource,)):
            yield from read_source(path, report, splitter=splitter)


def read_source(
    path: Path, report: CorpusReport, *, limit: int | None = None, splitter: Splitter | None = None
) -> Generator[Record, None, None]:
    """
    Read the records of one file, as :func:`read_corpus` does.

    :param path: a source that :func:`~.sources.check_sources` let pass.
    :param report: is updated while records are read. After the last record, or after :class:`DamagedSource`, it knows the
        withdrawals of the file.
    :param limit: most records that are returned. The rest of the file is then searched for withdrawals, and no records are made.
    :param splitter: see :func:`read_corpus`.
    :returns: a generator, whose ``close`` closes the file.
    :raises DamagedSource: where the file is damaged, after the records before that place; the report names it.
    """
    before, size, from_here = report.bytes_read, 0, report.records
    try:
        size = path.stat().st_size
        form = check_content(path)
        with path.open("rb") as raw:
            verify(path, raw)
            for record in form.read(unpacked(path, raw), path.name, report, limit, splitter):
                report.records += 1
                report.bytes_read = before + raw.tell()
                yield record
    except (EOFError, OSError, zlib.error, DamagedSource) as error:
        report.bytes_read = before + size
        reason = f"after its first {report.records - from_here} records: {error}"
        report.damaged.append(f"{path.name}: {reason}")
        raise DamagedSource(
            f"{path} is damaged {reason}. Repair the file or fetch it again, then run the same command."
        ) from error
    report.bytes_read = before + size
