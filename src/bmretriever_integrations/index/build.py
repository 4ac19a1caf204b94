"""Records -> shards. Stopped at any moment, the same call goes on and ends with the same bytes."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bmretriever_integrations.corpus import read_corpus
from bmretriever_integrations.corpus.records import CorpusReport
from bmretriever_integrations.files import only_writer
from bmretriever_integrations.index.builder import Builder, BuildReport
from bmretriever_integrations.index.engines import OneEngine, PassageEngines
from bmretriever_integrations.index.folder import clear_drafts, open_folder
from bmretriever_integrations.index.manifest import IndexMismatch, Manifest, read_manifest
from bmretriever_integrations.index.progress import RecordBar
from bmretriever_integrations.versions import NAME, OF_VECTORS, versions_of

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder

SHARD_SIZE = 2000
"""Records of a shard: a minute's work on two CPU cores, a second's on a large accelerator."""


def build_index(
    encoder: BMRetrieverEncoder | PassageEngines,
    sources: Sequence[str | Path],
    folder: str | Path,
    *,
    limit: int | None = None,
    shard_size: int = SHARD_SIZE,
    progress: bool = False,
) -> BuildReport:
    """
    Embed a corpus into a folder, or go on where an earlier run stopped.

    Every run reads the sources from the start and compares them with what the folder holds, so it also repairs damaged shards
    and grows an index: by a higher limit, or by sources after those it has. Memory holds one shard, or three for each engine of
    a pool, and 16 bytes a record.

    :param encoder: makes the vectors: one encoder, whose ``max_batch_tokens`` is set to the index's, or an
        :class:`~bmretriever_integrations.parallel.EncoderPool`, which gives the same bytes: each shard is one engine's.
    :param sources: see :func:`~bmretriever_integrations.corpus.read_corpus`.
    :param folder: made if it is not there.
    :param limit: index the first records only; what comes after them in the sources is not read.
    :param shard_size: records of a shard; when a run stops, one at most is lost, of a pool three for each engine.
    :param progress: show a bar, if standard error is a terminal.
    :raises IndexMismatch: if the folder was made with another model, setting, or other records.
    :raises DamagedIndex: if the folder holds other files, or its manifest is damaged.
    :raises DamagedSource: if a source breaks off; finished shards stay.
    :raises BlockingIOError: if another process writes into the folder.
    :raises OSError: if the disk is full; finished shards stay.
    """
    for name, value in (("limit", limit), ("shard_size", shard_size)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    engines = encoder if isinstance(encoder, PassageEngines) else OneEngine(encoder)
    corpus = CorpusReport()
    records = read_corpus(sources, corpus)
    target = open_folder(Path(folder))
    with only_writer(target), closing(records):  # an error must not leave a source open
        fresh = _begin(engines, sources, shard_size)
        manifest = read_manifest(target) or fresh
        manifest.check_same(fresh, target)
        _check_limit(manifest, limit, target)
        clear_drafts(target, len(manifest.shards))
        bar = RecordBar(progress, limit)
        try:
            return Builder(
                engines=engines, folder=target, manifest=manifest, sources=fresh.sources, corpus=corpus, bar=bar
            ).run(islice(records, limit))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            safe = read_manifest(target)
            raise OSError(
                f"no space left for {target}. Its {safe.records if safe else 0:,} records in finished shards are safe; make room "
                "and run the same command again."
            ) from error
        finally:
            bar.close()


def _begin(engines: PassageEngines, sources: Sequence[str | Path], shard_size: int) -> Manifest:
    return Manifest(
        encoder=engines.identity(),
        shard_size=shard_size,
        batch_tokens=engines.batch_tokens,
        sources=[{"name": Path(source).name, "bytes": Path(source).stat().st_size} for source in sources],
        versions=versions_of((NAME, "numpy", *OF_VECTORS)),
    )


def _check_limit(manifest: Manifest, limit: int | None, folder: Path) -> None:
    if limit is not None and limit < manifest.records:
        raise IndexMismatch(
            f"{folder} holds {manifest.records:,} records; a limit of {limit:,} would drop some. Use another folder, or a limit "
            f"of {manifest.records:,} or more."
        )
