"""What is recorded of a data set of the paper: where it comes from, its counts, measures and published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bmretriever_integrations.evaluation.tasks.similarity import AnyTask, SimilarityTask
from bmretriever_integrations.prompts import PAPER_INSTRUCTIONS, TASK_INSTRUCTIONS

Published = Mapping[str, Mapping[str, float]]
"""Short name of a checkpoint, or BM25 -> measure -> value, 0 to 1."""


ROUNDED = 0.1
"""By which share a count may differ where the published one is rounded and of an unknown release: a year of MeSH adds
about one concept in a hundred, and a builder may leave out what the paper kept. Chosen here."""


@dataclass(frozen=True, kw_only=True)
class Hub:
    """A data set on the Hugging Face hub, read through ``datasets``."""

    path: str
    layout: str
    """"retrieval" (configurations corpus, queries, and judgements), "pairs", "answers" or "scirepeval"; see hub.py."""
    revision: str | None = None
    """Commit; None takes the newest."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """Official files that the user fetches and ``bmretriever build`` turns into a task."""

    what: str
    address: str
    example: str
    """Example arguments of ``bmretriever build``."""


@dataclass(frozen=True, kw_only=True)
class NamedTask:
    """One data set of the paper."""

    name: str
    """What ``bmretriever evaluate`` calls it; also the key of its instruction."""
    title: str
    group: str
    """The paper's task that it belongs to."""
    measures: tuple[str, ...]
    """The paper's measures; the first is the one that is averaged."""
    hub: Hub | None = None
    files: Files | None = None
    documents: int | None = None
    """Number of documents of the published set, or of pairs of a similarity task; None where it is not known."""
    queries: int | None = None
    rounded: bool = False
    """The counts are the rounded ones of the paper's set, whose release is not known; see :data:`ROUNDED`."""
    judged_only: bool = False
    """A query ranks only the documents judged for it."""
    published: Published = field(default_factory=dict)
    source: str = ""
    """Where the published numbers are printed."""
    notes: tuple[str, ...] = ()
    """What a reader of a number must know, above all what was never published."""

    @property
    def instruction(self) -> str:
        """The sentence that goes before its queries."""
        return TASK_INSTRUCTIONS[self.name]

    @property
    def instruction_by(self) -> str:
        """Who worded it."""
        return "the authors" if self.name in PAPER_INSTRUCTIONS else "this project"

    def fits(self, task: AnyTask) -> bool:
        """
        Tell whether a task has the published set's counts, so that its numbers may stand beside the published ones.

        :param task: what was loaded under this name. Where a count is not known, any fits.
        """
        if isinstance(task, SimilarityTask):
            return task.measures == self.measures and self.documents in (None, len(task.left))
        off = ROUNDED if self.rounded else 0.0
        counts = ((self.documents, len(task.document_ids)), (self.queries, len(task.queries)))
        return all(known is None or abs(here - known) <= off * known for known, here in counts)
