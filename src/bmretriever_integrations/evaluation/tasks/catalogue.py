"""List the benchmarks whose tasks have names."""

from __future__ import annotations

from collections.abc import Mapping

from bmretriever_integrations.evaluation.tasks.mteb_medical import MTEB_MEDICAL
from bmretriever_integrations.evaluation.tasks.named_task import Benchmark, NamedTask
from bmretriever_integrations.evaluation.tasks.paper import PAPER
from bmretriever_integrations.evaluation.tasks.r2med import R2MED

BENCHMARKS: tuple[Benchmark, ...] = (PAPER, R2MED, MTEB_MEDICAL)

TASKS: Mapping[str, NamedTask] = {record.name: record for benchmark in BENCHMARKS for record in benchmark.records}
"""Maps the name of each task to its record, in the order of the benchmarks."""
