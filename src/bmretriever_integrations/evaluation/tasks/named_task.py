"""Define the record of a data set with a name: its sources, counts, measures and published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bmretriever_integrations.evaluation.tasks.similarity import AnyTask, SimilarityTask
from bmretriever_integrations.prompts import BENCHMARK_INSTRUCTIONS, PAPER_INSTRUCTIONS, TASK_INSTRUCTIONS

Published = Mapping[str, Mapping[str, float]]
"""Maps the short name of a checkpoint, or BM25, to its measures, each with its value, 0 to 1."""


ROUNDED = 0.1
"""The largest share by which a count may differ from a published count that is rounded and belongs to an unknown release. Each
year, MeSH grows by about one concept in a hundred, and a builder may leave out records that the paper kept. This project chose
the number."""

QUERIES_ARE_DOCUMENTS = frozenset({"scidocs", "arguana", "synergy-recommend"})
"""Names of the tasks whose queries are documents of the corpus, with the same ids: papers in SciDocs and in SYNERGY's reviews,
arguments in ArguAna."""


@dataclass(frozen=True, kw_only=True)
class Hub:
    """A data set on the Hugging Face hub, read through ``datasets``."""

    path: str
    """Hub id of the data set."""
    layout: str
    """"retrieval" (configurations corpus, queries, and judgements), "questions", "pairs", "answers" or "scirepeval"; see
    hub.py."""
    queries: str = "queries"
    """Configuration of the queries; in the layout "questions", the only one."""
    judgements: str = "default"
    """Configuration of the judgements."""
    split: str | None = None
    """Split on the hub; None takes the split that the command names, and "all" takes all splits together."""
    revision: str | None = None
    """Commit; None takes the newest."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """Official files that the user downloads and from which ``bmretriever build`` builds a task."""

    what: str
    """Description of the files."""
    address: str
    """Address of the page from which they are downloaded."""
    example: str
    """Example arguments of ``bmretriever build``."""


@dataclass(frozen=True, kw_only=True)
class NamedTask:
    """One data set."""

    name: str
    """The name in ``bmretriever evaluate``, and the key of the instruction."""
    title: str
    """The name in print."""
    group: str
    """The kind of task."""
    measures: tuple[str, ...]
    """The measures of its publication; means over tasks are computed from the first one."""
    hub: Hub | None = None
    """The data set on the hub, or None."""
    files: Files | None = None
    """The official files, or None."""
    documents: int | None = None
    """Number of documents of the published set, or of pairs of a similarity task; None where it is not known."""
    queries: int | None = None
    """Number of queries of the published set; None where it is not known."""
    rounded: bool = False
    """Whether the counts are rounded numbers from the paper, for an unknown release; see :data:`ROUNDED`."""
    judged_only: bool = False
    """Whether a query ranks only the documents that were judged for it."""
    published: Published = field(default_factory=dict)
    """The published numbers."""
    source: str = ""
    """The publication that contains the published numbers."""
    prescribed_by: str = ""
    """The benchmark that prescribes the instruction, if the instruction is among its own."""
    notes: tuple[str, ...] = ()
    """Facts that a reader of the numbers must know, above all what was never published."""

    @property
    def instruction(self) -> str:
        """The instruction before its queries, a sentence."""
        return TASK_INSTRUCTIONS[self.name]

    @property
    def instruction_by(self) -> str:
        """The author of the instruction."""
        if self.name in BENCHMARK_INSTRUCTIONS:
            return self.prescribed_by
        return "the authors" if self.name in PAPER_INSTRUCTIONS else "this project"

    def fits(self, task: AnyTask) -> bool:
        """
        Tell whether a task has the published set's counts, so that its numbers may be compared with the published ones.

        :param task: the task that was loaded under this name. A count that is not known is not compared.
        """
        if isinstance(task, SimilarityTask):
            return task.measures == self.measures and self.documents in (None, len(task.left))
        off = ROUNDED if self.rounded else 0.0
        counts = ((self.documents, len(task.document_ids)), (self.queries, len(task.queries)))
        return all(known is None or abs(here - known) <= off * known for known, here in counts)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Tasks that were published together."""

    name: str
    """The name in ``bmretriever evaluate``, which measures all its tasks."""
    title: str
    """The name in print."""
    about: tuple[str, ...]
    """What it is and what was published of it as a whole, a line each."""
    records: tuple[NamedTask, ...]
    """Its tasks."""
