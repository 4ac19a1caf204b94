"""Plan -> folder of pairs: read, pair, filter, decontaminate, deduplicate, write."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain, count, islice
from pathlib import Path

from tqdm import tqdm

from bmretriever_integrations.files import whole_folder
from bmretriever_integrations.training.output_folder import check_output
from bmretriever_integrations.training.pairs.columns import Columns
from bmretriever_integrations.training.pairs.current import Current
from bmretriever_integrations.training.pairs.duplicates import CompactSet
from bmretriever_integrations.training.pairs.pairing import pairs_of
from bmretriever_integrations.training.pairs.report import REPORT, BuildReport, write_report
from bmretriever_integrations.training.pairs.rows import Reading, check, current_of, read
from bmretriever_integrations.training.pairs.schema import Pair, PairWriter
from bmretriever_integrations.training.pairs.selection import Candidate, Group, Selection
from bmretriever_integrations.training.pairs.settings import Plan, Source
from bmretriever_integrations.training.pairs.words import text_hash, words_of

SHARD = 200_000
"""Pairs of one parquet file: about 200 MB of abstracts."""
ROWS_PER_UPDATE = 256
"""Rows between two updates of the progress bar."""


def build(plan: Plan, to: Path, progress: bool = False) -> BuildReport:
    """
    Make the pairs of a plan. Memory grows by about 150 to 300 bytes for each kept pair, to find duplicates.

    :param plan: the settings.
    :param to: folder of the pairs; an earlier one is replaced when the new one is complete.
    :param progress: whether to show a progress bar.
    :returns: what was kept and dropped; ``to/pairs.json`` holds the same.
    :raises FileExistsError: if ``to`` holds anything else than the files of an earlier run.
    :raises FileNotFoundError: if a source or an evaluation set is missing.
    :raises ValueError: if one is malformed, which is found before any pair is made, or if no pair is left.
    """
    check_output(to, {REPORT, "pairs-*.parquet"}, mark=REPORT)
    columns = [check(source) for source in plan.sources]
    current = current_of(plan.sources)
    report = BuildReport(plan, {source.path: str(found) for source, found in zip(plan.sources, columns, strict=True)})
    selection = Selection(plan, report)
    with whole_folder(to) as draft:
        with _Bar(plan.sources, progress) as bar:
            _write(selection.select(_groups(plan, columns, current, report, bar)), draft, report, bar)
        if not report.kept:
            raise ValueError(
                f"no pair is left of {report.made}; dropped: {dict(report.dropped)}; "
                f"rows without a pair: {report.rows_without_pair}. The key filters, in a plan, decides what is dropped"
            )
        report.duplicates_bytes = selection.nbytes
        write_report(report, draft / REPORT)
    return report


def _groups(plan: Plan, columns: list[Columns], current: Current, report: BuildReport, bar: _Bar) -> Iterator[Group]:
    for number, (source, found) in enumerate(zip(plan.sources, columns, strict=True)):
        reading, titles, made = Reading(), CompactSet(), 0
        for where, row in read(source, found, reading, current):
            report.rows += 1
            if report.rows % ROWS_PER_UPDATE == 0:
                bar.move(number, reading.share, sum(report.kept.values()))
            pairs = list(pairs_of(where, row, source, plan.filters, plan.seed))
            report.rows_without_pair += not pairs
            group = Group(found.labelled)
            for pair in pairs:
                if made == source.limit:
                    group.beyond.append(pair)
                elif source.per_title is not None and not _has_room(titles, pair.query, source.per_title):
                    report.dropped["over the limit of its title"] += 1
                    report.made += 1
                    group.beyond.append(pair)
                else:
                    made += 1
                    title, identity = row.texts.get("title", ""), row.texts.get("id", "")
                    group.candidates.append(Candidate(pair, title, identity))
            yield group
            if made == source.limit:
                break
        report.skipped += reading.skipped
        report.superseded += reading.superseded
        bar.move(number, 1.0, sum(report.kept.values()))


def _has_room(titles: CompactSet, query: str, most: int) -> bool:
    words = words_of(query)
    return any(titles.add(text_hash([*words, f"\0{place}"])) for place in range(most))


def _write(pairs: Iterator[Pair], folder: Path, report: BuildReport, bar: _Bar) -> None:
    content = hashlib.sha256()
    for number in count():
        first = next(pairs, None)
        if first is None:
            break
        with PairWriter(folder / f"pairs-{number:05d}.parquet") as writer:
            for pair in chain([first], islice(pairs, SHARD - 1)):
                writer.write(pair)
                beside = "".join(f"\t{text}" for text in (*pair.negatives, *pair.other_positives))
                content.update(f"{pair.id}\t{pair.source}\t{pair.licence}{beside}\n".encode())
    bar.move(None, 1.0, sum(report.kept.values()))
    report.content_hash = content.hexdigest()


class _Bar:
    """Progress in bytes of all local sources; a data set of the hub has no known size and adds none."""

    def __init__(self, sources: tuple[Source, ...], shown: bool) -> None:
        self._sizes = [Path(source.path).stat().st_size if source.is_local else 0 for source in sources]
        self._bar = tqdm(total=sum(self._sizes) or None, unit="B", unit_scale=True, disable=not shown, desc="pairs")

    def move(self, source: int | None, share: float, kept: int) -> None:
        if source is not None:
            done = sum(self._sizes[:source]) + share * self._sizes[source]
            self._bar.update(max(0, int(done) - self._bar.n))
        self._bar.set_postfix(kept=kept, refresh=False)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
