"""Build task folders from official files, for data sets that are not published in a ready form. Each format has a module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bmretriever_integrations.evaluation.tasks.builders.bioasq import build_bioasq
from bmretriever_integrations.evaluation.tasks.builders.drugbank import build_drugbank
from bmretriever_integrations.evaluation.tasks.builders.icliniq import build_icliniq
from bmretriever_integrations.evaluation.tasks.builders.mesh import build_mesh
from bmretriever_integrations.evaluation.tasks.builders.pubmedqa import build_pubmedqa
from bmretriever_integrations.evaluation.tasks.builders.relish import build_relish
from bmretriever_integrations.evaluation.tasks.writing import TaskWriter

BUILDERS: Mapping[str, Callable[[Sequence[Path], TaskWriter], None]] = {
    "icliniq": build_icliniq,
    "pubmedqa": build_pubmedqa,
    "bioasq": build_bioasq,
    "mesh": build_mesh,
    "drugbank": build_drugbank,
    "relish": build_relish,
}
"""Maps the name of a task to the function that builds it from its official files."""
