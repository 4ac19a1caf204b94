"""Describe the named tasks as lines of text."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator

from bmretriever_integrations.evaluation.tasks.catalogue import BENCHMARKS
from bmretriever_integrations.evaluation.tasks.named_task import Benchmark, NamedTask


def describe_tasks(columns: int | None = None) -> Iterator[str]:
    """
    Describe each benchmark, and each of its tasks: measures, instruction, sources of the data, published numbers with their
    source, and notes.

    :param columns: the most letters of a line; None breaks no line. A line is broken between words; a word that is longer, such
        as an address, is not.
    """
    for benchmark in BENCHMARKS:
        for line in _lines(benchmark):
            indent = " " * (len(line) - len(line.lstrip()))
            broken = textwrap.wrap(
                line,
                columns or sys.maxsize,
                subsequent_indent=f"{indent}  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            yield from broken or [""]


def _lines(benchmark: Benchmark) -> Iterator[str]:
    yield f"{benchmark.title}; all of them: {benchmark.name}"
    yield from benchmark.about
    yield ""
    for record in benchmark.records:
        yield f"{record.name}: {record.title}, {record.group}; {', '.join(record.measures)}"
        yield f"  instruction: {record.instruction} (worded by {record.instruction_by})"
        yield from (f"  {line}" for line in (*_sources(record), *_published(record), *record.notes))
        yield ""


def _sources(record: NamedTask) -> Iterator[str]:
    if record.hub is not None:
        commit = f" at {record.hub.revision[:7]}" if record.hub.revision else ""
        yield f"from the hub: {record.hub.path}{commit}"
    if record.files is not None:
        yield f"from files: {record.files.what}, {record.files.address}"
        yield f"  bmretriever build {record.files.example}"


def _published(record: NamedTask) -> Iterator[str]:
    for system, values in record.published.items():
        yield f"published {system}: " + ", ".join(f"{measure} {value:.3f}" for measure, value in values.items())
    if record.published:
        yield f"source of these: {record.source}"
