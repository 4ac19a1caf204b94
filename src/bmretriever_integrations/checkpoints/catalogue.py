"""What is known of each checkpoint: frozen records, every fact with its source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One checkpoint that a short name stands for."""

    name: str
    """Short name, e.g. ``410M``."""
    hub_id: str | None
    """Repository on the Hugging Face hub; None for the one that ships inside this package."""
    revision: str | None
    """Commit that the hub id is pinned to."""
    architecture: str
    """``model_type`` of its config.json."""
    backbone: str
    layers: int
    width: int
    """Length of a vector."""
    parameters: int
    licence: str
    paper_average: float | None = None
    """Mean of NFCorpus, SciFact, SciDocs, TREC-COVID (nDCG@10) and BIOSSES (Spearman)."""
    paper_applications: float | None = None
    """Mean of the paper's six retrieval-oriented applications."""


# Hub ids, layers, widths, backbones and both averages: README of github.com/ritaranx/BMRetriever.
# Revisions and parameters (body and embedding matrix): mteb, models/model_implementations/bmretriever_models.py.
# Licences: metadata of the four hub repositories. The 2B stands on Gemma, whose own terms may apply as well.
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

# Not a BMRetriever checkpoint: trained by this project's own recipe (docs/mini.md has settings and scores).
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

CHECKPOINTS: tuple[Checkpoint, ...] = (*RELEASED, MINI)
DEFAULT_MODEL = "BMRetriever/BMRetriever-410M"


def find_checkpoint(model: str) -> Checkpoint | None:
    """
    Look a model up by its short name or its hub id, whatever the case of the letters.

    :param model: what a user wrote for ``model``.
    :returns: the record, or None if it is neither (a folder, or somebody else's hub id).
    """
    wanted = model.casefold()
    for checkpoint in CHECKPOINTS:
        if wanted in (checkpoint.name.casefold(), (checkpoint.hub_id or "").casefold()):
            return checkpoint
    return None
