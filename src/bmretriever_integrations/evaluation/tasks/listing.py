"""Describe the named tasks as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from bmretriever_integrations.evaluation.tasks.catalogue import TASKS
from bmretriever_integrations.evaluation.tasks.named_task import NamedTask


def describe_tasks() -> Iterator[str]:
    """Describe each named task: measures, instruction, sources of the data, published numbers with their source, and notes."""
    for record in TASKS.values():
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
        yield f"            bmretriever build {record.files.example}"


def _published(record: NamedTask) -> Iterator[str]:
    for system, values in record.published.items():
        yield f"published {system}: " + ", ".join(f"{measure} {value:.3f}" for measure, value in values.items())
    if record.published:
        yield f"source of these: {record.source}"
