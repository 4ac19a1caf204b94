"""Remove records from an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bmretriever_integrations.index.checksums import check_files
from bmretriever_integrations.index.ingest.known import article_of
from bmretriever_integrations.index.ingest.writing import Writer
from bmretriever_integrations.index.manifest import manifest_of
from bmretriever_integrations.index.places.where import place_of
from bmretriever_integrations.index.table import passages_of


@dataclass
class DeleteReport:
    """What was removed."""

    deleted: list[str] = field(default_factory=list)
    """Ids that were removed."""
    unknown: list[str] = field(default_factory=list)
    """Ids that the index does not hold."""
    forgotten: list[str] = field(default_factory=list)
    """Names of the sources from which the removed records came. They count as not read, so indexing them again brings the
    records back."""


def delete_records(folder: str | Path, ids: Sequence[str]) -> DeleteReport:
    """
    Remove records from an index. A later run over the sources that they came from brings them back.

    :param folder: the index; a folder or a URL.
    :param ids: ids of the records; unknown ones are named in the report. That of an article of full texts, such as
        ``PMC3166277``, names all its passages.
    :raises TypeError: if ``ids`` is no list of strings.
    :raises ValueError: if it is empty.
    :raises FileNotFoundError: if there is no index.
    :raises DamagedIndex: if the index is damaged.
    :raises BlockingIOError: if another process writes into the folder.
    :raises ConnectionError: if an object store cannot be reached or refuses the credentials.
    """
    if isinstance(ids, str) or not all(isinstance(one, str) for one in ids):
        raise TypeError(f"ids must be a list of strings, got {ids!r:.80}")
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        raise ValueError("ids names no record to delete")
    target = place_of(folder)
    manifest_of(target)  # before a lock is made in a folder that is no index
    report = DeleteReport()
    with target.explained(), target.only_writer():
        manifest = manifest_of(target)
        check_files(target, manifest)
        complete = manifest.complete
        writer = Writer(target, manifest)
        sources = writer.sources_of(wanted)
        passages = _passages(writer, [one for one in wanted if one not in sources])
        known = {*sources, *map(article_of, passages)}
        sources |= passages
        report.deleted, report.unknown = list(sources), [one for one in wanted if one not in known]
        report.forgotten = sorted(set(sources.values()))
        if sources:
            writer.forget(report.forgotten)
            writer.delete(report.deleted)
            writer.finish(complete=complete)
    return report


def _passages(writer: Writer, articles: Sequence[str]) -> dict[str, str]:
    """Find the passages of articles, and the sources from which they came."""
    found = [] if writer.table is None else passages_of(writer.table, articles, ["source"])
    rows = (row for part in found for row in part.to_pylist())
    return {row["id"]: row["source"] for row in rows if article_of(row["id"])}
