"""Official files -> task folders, for the data sets that nobody ships ready to use; one module a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bmretriever_integrations.evaluation.builders.bioasq import build_bioasq
from bmretriever_integrations.evaluation.builders.drugbank import build_drugbank
from bmretriever_integrations.evaluation.builders.icliniq import build_icliniq
from bmretriever_integrations.evaluation.builders.mesh import build_mesh
from bmretriever_integrations.evaluation.builders.pubmedqa import build_pubmedqa
from bmretriever_integrations.evaluation.builders.relish import build_relish
from bmretriever_integrations.evaluation.writing import TaskWriter

BUILDERS: Mapping[str, Callable[[Sequence[Path], TaskWriter], None]] = {
    "icliniq": build_icliniq,
    "pubmedqa": build_pubmedqa,
    "bioasq": build_bioasq,
    "mesh": build_mesh,
    "drugbank": build_drugbank,
    "relish": build_relish,
}
"""Name of a task -> what makes it from its official files."""
