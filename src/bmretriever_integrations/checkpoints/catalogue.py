"""List the known checkpoints as frozen records, with the commits to which they are pinned and the source of every fact."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One checkpoint that has a short name."""

    name: str
    """Short name, e.g. ``410M``."""
    hub_id: str | None
    """Repository on the Hugging Face hub; None for a checkpoint inside this package."""
    revision: str | None
    """Commit to which the hub id is pinned; None for a checkpoint inside this package."""
    architecture: str
    """``model_type`` in its config.json."""
    backbone: str
    """Name of the language model from which it was trained."""
    layers: int
    """Number of decoder layers."""
    width: int
    """Length of a vector."""
    parameters: int
    """Number of parameters."""
    licence: str
    """Name of the licence."""
    paper_average: float | None = None
    """Mean of NFCorpus, SciFact, SciDocs, TREC-COVID (nDCG@10) and BIOSSES (Spearman)."""
    paper_applications: float | None = None
    """Mean of the paper's six retrieval-oriented applications."""


# Hub ids, layers, widths, backbones and both averages: README of github.com/ritaranx/BMRetriever.
# Revisions and parameters (body and embedding matrix): mteb, models/model_implementations/bmretriever_models.py.
# Licences: metadata of the four hub repositories. The 2B was trained from Gemma, whose own terms may apply as well.
RELEASED = (
    Checkpoint(
        name="410M",
        hub_id="BMRetriever/BMRetriever-410M",
        revision="e3569bfbcfe3a1bc48c142e11a7b0f38e86065a3",
        architecture="gpt_neox",
        backbone="Pythia-410M",
        layers=24,
        width=1024,
        parameters=353_822_720,
        licence="MIT",
        paper_average=0.574,
        paper_applications=0.725,
    ),
    Checkpoint(
        name="1B",
        hub_id="BMRetriever/BMRetriever-1B",
        revision="1b758c5f4d3af48ef6035cc4088bdbcd7df43ca6",
        architecture="gpt_neox",
        backbone="Pythia-1B",
        layers=16,
        width=2048,
        parameters=908_759_040,
        licence="MIT",
        paper_average=0.596,
        paper_applications=0.741,
    ),
    Checkpoint(
        name="2B",
        hub_id="BMRetriever/BMRetriever-2B",
        revision="718179afd57926369c347f46eee616db81084941",
        architecture="gemma",
        backbone="Gemma-2B",
        layers=18,
        width=2048,
        parameters=2_506_172_416,
        licence="MIT",
        paper_average=0.600,
        paper_applications=0.775,
    ),
    Checkpoint(
        name="7B",
        hub_id="BMRetriever/BMRetriever-7B",
        revision="13e6adb9273c5f254e037987d6b44e9e4b005b9a",
        architecture="mistral",
        backbone="BioMistral-7B",
        layers=32,
        width=4096,
        parameters=7_110_660_096,
        licence="MIT",
        paper_average=0.610,
        paper_applications=0.793,
    ),
)

# These two are not BMRetriever checkpoints: they were trained by this project's own recipe (docs/mini.md and docs/small.md).
MINI = Checkpoint(
    name="mini",
    hub_id=None,
    revision=None,
    architecture="llama",
    backbone="one layer of its own, word vectors from SmolLM2-135M",
    layers=1,
    width=576,
    parameters=22_415_040,
    licence="Apache-2.0",
)

SMALL = Checkpoint(
    name="small",
    hub_id=None,
    revision=None,
    architecture="llama",
    backbone="SmolLM2-135M-Instruct with a LoRA adapter",
    layers=30,
    width=576,
    parameters=134_515_008,
    licence="Apache-2.0",
)

CHECKPOINTS: tuple[Checkpoint, ...] = (*RELEASED, SMALL, MINI)
DEFAULT_MODEL = "BMRetriever/BMRetriever-410M"


def find_checkpoint(model: str) -> Checkpoint | None:
    """
    Find a checkpoint by its short name or its hub id; upper and lower case are the same.

    :param model: the value that the user gave for ``model``.
    :returns: the record, or None for a folder or another hub id.
    """
    wanted = model.casefold()
    for checkpoint in CHECKPOINTS:
        if wanted in (checkpoint.name.casefold(), (checkpoint.hub_id or "").casefold()):
            return checkpoint
    return None
