"""Plan -> folder of pairs: read, pair, filter, deduplicate, decontaminate, write."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path

from tqdm import tqdm

from bmretriever_integrations.files import temporary
from bmretriever_integrations.training.output_folder import check_output
from bmretriever_integrations.training.pairs.columns import Columns
from bmretriever_integrations.training.pairs.duplicates import CompactSet, Duplicates
from bmretriever_integrations.training.pairs.filters import PairFilter
from bmretriever_integrations.training.pairs.pairing import pairs_of
from bmretriever_integrations.training.pairs.protected import Protected
from bmretriever_integrations.training.pairs.report import REPORT, BuildReport, write_report
from bmretriever_integrations.training.pairs.rows import Reading, check, read
from bmretriever_integrations.training.pairs.schema import Pair, PairWriter
from bmretriever_integrations.training.pairs.settings import Plan, Source
from bmretriever_integrations.training.pairs.words import text_hash, words_of

SHARD = 200_000
"""Pairs of a parquet file: some 200 MB of abstracts."""
TICK = 256
"""Rows between two looks at the bar."""


@dataclass(frozen=True)
class _Candidate:
    pair: Pair
    title: str
    identity: str
    labelled: bool


def build(plan: Plan, to: Path, progress: bool = False) -> BuildReport:
    """
    Make the pairs of a plan. Memory grows by some 150 to 300 bytes a kept pair, for the duplicates.

    :param plan: sources, evaluation sets, filters.
    :param to: folder of the pairs; an earlier one is replaced when the new one is whole.
    :param progress: show a bar.
    :returns: what was kept and dropped; ``to/pairs.json`` holds it too.
    :raises FileExistsError: if ``to`` is there and holds something else than an earlier run's files.
    :raises FileNotFoundError: if a source or an evaluation set is missing.
    :raises ValueError: if one is malformed, or no pair is left. All sources are looked at before any pair is made.
    """
    check_output(to, {REPORT, "pairs-*.parquet"}, mark=REPORT)
    columns = [check(source) for source in plan.sources]
    report = BuildReport(plan, {source.path: str(found) for source, found in zip(plan.sources, columns, strict=True)})
    sieve = _Sieve(plan, report)
    draft = temporary(to)
    shutil.rmtree(draft, ignore_errors=True)  # of a run that was stopped
    draft.mkdir(parents=True)
    try:
        with _Bar(plan.sources, progress) as bar:
            _write(sieve.sift(_candidates(plan, columns, report, bar)), draft, report, bar)
        if not report.kept:
            raise ValueError(
                f"no pair is left of {report.made}; dropped: {dict(report.dropped)}; rows without a pair: {report.barren}"
            )
        report.duplicates_bytes = sieve.nbytes
        write_report(report, draft / REPORT)
        _replace(draft, to)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return report


class _Sieve:
    """Lets through what no filter objects to, and counts the rest."""

    def __init__(self, plan: Plan, report: BuildReport) -> None:
        self._filter = PairFilter(plan.filters)
        self._duplicates = Duplicates(plan.filters.near_duplicates)
        self._protected = Protected(plan)
        self._report = report

    def sift(self, candidates: Iterator[_Candidate]) -> Iterator[Pair]:
        for candidate in candidates:
            self._report.made += 1
            reason = self._reason(candidate)
            if reason is None:
                self._report.kept[candidate.pair.task] += 1
                yield candidate.pair
            else:
                self._report.dropped[reason] += 1

    def _reason(self, candidate: _Candidate) -> str | None:
        pair = candidate.pair
        query, positive = words_of(pair.query), words_of(pair.positive)
        return (
            self._filter.reason(pair, query, positive)
            or self._protected.reason(query, positive, candidate.title, candidate.identity)
            or self._duplicates.kind(query, positive, by_query=candidate.labelled)
        )

    @property
    def nbytes(self) -> int:
        return self._duplicates.nbytes


def _candidates(plan: Plan, columns: list[Columns], report: BuildReport, bar: _Bar) -> Iterator[_Candidate]:
    for number, (source, found) in enumerate(zip(plan.sources, columns, strict=True)):
        reading, titles, made = Reading(), CompactSet(), 0
        for where, row in read(source, found, reading):
            report.rows += 1
            if report.rows % TICK == 0:
                bar.move(number, reading.share, sum(report.kept.values()))
            pairs = list(pairs_of(where, row, source, plan.filters, plan.seed))
            report.barren += not pairs
            for pair in pairs:
                if source.per_title is not None and not _has_room(titles, pair.query, source.per_title):
                    report.dropped["over the limit of its title"] += 1
                    report.made += 1
                    continue
                made += 1
                yield _Candidate(pair, row.get("title", ""), row.get("id", ""), found.labelled)
                if made == source.limit:
                    break
            if made == source.limit:
                break
        report.skipped += reading.skipped
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
                content.update(f"{pair.id}\t{pair.source}\t{pair.licence}\n".encode())
    bar.move(None, 1.0, sum(report.kept.values()))
    report.content_hash = content.hexdigest()


def _replace(draft: Path, to: Path) -> None:
    """Two renames: whenever the process stops, the former pairs or the new ones are whole on the disk."""
    old = to.with_name(f".{to.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if to.exists():
        to.rename(old)
    draft.rename(to)
    shutil.rmtree(old, ignore_errors=True)


class _Bar:
    """Bytes read of all local sources; a data set of the hub has no size and counts none."""

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
