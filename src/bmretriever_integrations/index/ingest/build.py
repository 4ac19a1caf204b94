"""Make an index say what its sources say. Stopped at any moment, the same call goes on and ends with the same rows."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.corpus.records import CorpusReport
from bmretriever_integrations.corpus.sources import check_sources
from bmretriever_integrations.files import LOCK
from bmretriever_integrations.index.checksums import check_files
from bmretriever_integrations.index.ingest.engines import EnginesOnDemand, OneEngine, PassageEngines
from bmretriever_integrations.index.ingest.portions import portion_size
from bmretriever_integrations.index.ingest.progress import RecordBar
from bmretriever_integrations.index.ingest.reading import Sources
from bmretriever_integrations.index.ingest.report import BuildReport
from bmretriever_integrations.index.ingest.run import Run
from bmretriever_integrations.index.ingest.splitting import SplitterOnDemand
from bmretriever_integrations.index.ingest.writing import Writer
from bmretriever_integrations.index.manifest import NAME, DamagedIndex, Manifest, read_manifest
from bmretriever_integrations.index.places.lease import FILES as LEASE
from bmretriever_integrations.index.places.place import Place
from bmretriever_integrations.index.places.where import place_of
from bmretriever_integrations.index.table import FILES
from bmretriever_integrations.versions import NAME as PACKAGE
from bmretriever_integrations.versions import OF_VECTORS, versions_of

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the system's errors for a full disk and a used-up quota."""


def build_index(
    encoder: BMRetrieverEncoder | PassageEngines,
    sources: Sequence[str | Path],
    folder: str | Path,
    *,
    limit: int | None = None,
    strict: bool = False,
    progress: bool = False,
) -> BuildReport:
    """
    Begin an index, go on with it, or bring it up to date.

    A source that was read, if only up to a damage, and has not changed is not read again. Of the others, a record is embedded if
    its id or its text is new; if only its metadata changed, its stored vector is kept. Of several records of an id the newest
    counts, by version and date of revision, else the one that is read last. A record that PubMed withdrew goes, and comes back
    only if it was revised later. The sections of full texts are cut into passages that the model embeds whole, and of an article
    the passages of one version stand. Memory holds a few thousand records, for each engine of a pool three times as many.

    :param encoder: makes the vectors: one encoder, whose ``max_batch_tokens`` is set to the index's, or an
        :class:`~bmretriever_integrations.parallel.EncoderPool`, which gives the same vectors.
    :param sources: see :func:`~bmretriever_integrations.corpus.read_corpus`. They may be other ones than before. Behind a source
        that is read, files of JSON lines are read, too, for of them the one that is named last counts.
    :param folder: made if it is not there. It may be a URL, such as ``s3://bucket/papers-index``, of a bucket that is there.
    :param limit: read the first records only. What the index holds already stays.
    :param strict: stop at a damaged source. Else the report names it, and the run goes on with what is readable.
    :param progress: show a bar, if standard error is a terminal.
    :raises IndexMismatch: if the folder was made with another model or setting.
    :raises DamagedIndex: if the folder holds other files, or a file of the index is damaged; says which, and what to do.
    :raises DamagedSource: with ``strict``, if a source is damaged; what was read before stays.
    :raises BlockingIOError: if another process writes into the folder.
    :raises ConnectionError: if an object store cannot be reached or refuses the credentials; what was committed stays.
    :raises OSError: if the disk is full; what was committed stays.
    :raises ValueError: if the sources hold no record.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    paths = check_sources(sources, strict=strict)
    # the first of the two checks comes first: the second looks at attributes for which engines on demand would be loaded
    engines = encoder if isinstance(encoder, EnginesOnDemand | PassageEngines) else OneEngine(encoder)
    target = place_of(folder)
    _check_folder(target)
    identity = engines.identity()
    target.make()
    with target.explained(), target.only_writer():
        manifest = _begin(target, engines, identity)
        report = BuildReport(CorpusReport())
        splitter = SplitterOnDemand(engines, identity)
        reading = Sources(paths, manifest, report.corpus, splitter, limit=limit, strict=strict)
        with closing(RecordBar(progress, limit)) as bar, _full_disk_told(target, report):
            Run(engines, Writer(target, manifest), report, bar).follow(reading)
        report.not_read_again = reading.not_read_again
    return report


@contextmanager
def _full_disk_told(folder: Place, report: BuildReport) -> Iterator[None]:
    """Say what a full disk means for an index."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # LanceDB raises RuntimeError
        full = any(f"rrno {number}]" in str(error) or f"os error {number})" in str(error) for number in FULL)
        if not full:
            raise
        raise OSError(
            f"no space left for {folder}. Its {report.records:,} records are safe; make room and run the same command again."
        ) from error


def _begin(folder: Place, engines: PassageEngines, identity: dict[str, Any]) -> Manifest:
    found = read_manifest(folder)
    if found is None:
        portion, versions = portion_size(engines.width, engines.batch_tokens), (PACKAGE, "numpy", *OF_VECTORS)
        return Manifest(identity, engines.batch_tokens, portion, versions=versions_of(versions))
    found.check_same(Manifest(identity, found.batch_tokens), folder)
    check_files(folder, found)  # else what is damaged would be copied into new files, with a checksum of its own
    if found.encoder != identity:  # the same weights under another name: the old one may be gone
        found.encoder = identity
        found.write(folder)
    return found


def _check_folder(folder: Place) -> None:
    """Refuse a file, and a folder that holds other files."""
    names = folder.names()
    others = sorted(set(names).difference((LOCK, LEASE, f".{NAME}.tmp")))
    if others == [FILES] and NAME not in names:
        raise DamagedIndex(
            f"{folder} holds a table and no {NAME}. If a job wrote it, run `bmretriever index-table {folder}` first"
        )
    if others and NAME not in names:
        raise DamagedIndex(
            f"{folder} holds other files ({', '.join(others[:3])}{', ...' if len(others) > 3 else ''}) and no {NAME}; name a "
            "new or empty folder"
        )
