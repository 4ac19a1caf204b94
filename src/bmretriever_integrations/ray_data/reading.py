"""Reads files into a data set of Ray Data, one task a file, with a column for each fact of a record."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from bmretriever_integrations.corpus.metadata import NAMED
from bmretriever_integrations.corpus.reading import read_source
from bmretriever_integrations.corpus.records import CorpusReport, DamagedSource
from bmretriever_integrations.corpus.sources import check_sources
from bmretriever_integrations.index.schema import RECORD, schema

ROWS = 1024
"""Records of a block."""
log = logging.getLogger(__name__)


def read_sources(sources: Sequence[str | Path]) -> Any:
    """
    Read files into a data set of Ray Data, whose columns :class:`~bmretriever_integrations.ray_data.BMRetrieverIndexRows` takes.

    What is damaged is left out, and each worker logs a warning that counts and names it.

    :param sources: see :func:`~bmretriever_integrations.corpus.read_corpus`. Every machine of the cluster finds them under the
        same names.
    :returns: a ``ray.data.Dataset``, of which nothing is read yet. Reading raises ValueError for a file that withdraws records,
        as PubMed's update files do, and for full texts. :func:`~bmretriever_integrations.index.build_index` reads both, after
        the others.
    :raises ImportError: if Ray is not installed.
    :raises FileNotFoundError: if a source is missing.
    :raises ValueError: if a source is given twice, or is of a kind that is not read.
    """
    paths = check_sources(sources, strict=False)
    try:
        import ray.data
    except ImportError as error:
        raise ImportError(f'Ray is not installed ({error}): pip install "bmretriever-integrations[ray]"') from error
    items = [{"path": str(path.absolute())} for path in paths]
    files = ray.data.from_items(items, override_num_blocks=len(items))
    return files.map_batches(_read, batch_size=1, batch_format="pyarrow")


def _read(batch: Any) -> Iterator[Any]:
    """Read the files of a batch."""
    import pyarrow as pa

    columns = record_columns()
    for path in map(Path, batch.column("path").to_pylist()):
        report = CorpusReport()
        rows = _rows(path, report)
        while block := list(islice(rows, ROWS)):
            yield pa.Table.from_pylist(block, schema=columns)
        _tell(path, report)


def _rows(path: Path, report: CorpusReport) -> Iterator[dict[str, Any]]:
    with suppress(DamagedSource):  # the report names it
        for place, record in enumerate(read_source(path, report)):
            if record.article:
                raise ValueError(
                    f"{path} holds full texts, and the passages of an article come and go together, for which a job cannot care: "
                    "leave this file to `bmretriever index`, after the job"
                )
            facts = {name: getattr(record.metadata, name) for name in NAMED}
            other = json.dumps(dict(record.metadata.other), ensure_ascii=False) if record.metadata.other else None
            texts = {"id": record.id, "title": record.title, "text": record.text}
            yield {**texts, **facts, "other": other, "source": path.name, "place": place}


def _tell(path: Path, report: CorpusReport) -> None:
    if report.withdrawn:
        raise ValueError(
            f"{path} withdraws {len(report.withdrawn):,} records, which a job cannot remove: leave this file and all later ones "
            "to `bmretriever index`, after the job"
        )
    for damage in report.damaged:
        log.warning("damaged: %s", damage)
    if report.skipped:
        log.warning("%s: left out %d records: %s", path, report.skipped.total(), "; ".join(report.examples))


def record_columns() -> Any:
    """
    Return the Arrow schema of a record with its place.

    Each fact has a column, ``other`` holds the further keys as JSON, ``source`` is the name of the file, and ``place`` the
    number of the record in it.
    """
    import pyarrow as pa

    of_table = schema(1, "float16")
    fields = [pa.field(name, pa.string() if name == "other" else of_table.field(name).type) for name in RECORD]
    return pa.schema([*fields, pa.field("source", pa.string()), pa.field("place", pa.int64())])
