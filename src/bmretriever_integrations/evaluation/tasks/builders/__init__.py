"""Official files -> task folders, for the data sets that are not published ready to use; one module a format."""

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
"""Name of a task -> what makes it from its official files."""
