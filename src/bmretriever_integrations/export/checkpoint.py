"""Write any checkpoint that the encoder loads as a folder for plain sentence-transformers, and compare it with its source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.checkpoints import Checkpoint, find_checkpoint
from bmretriever_integrations.checkpoints.instructions import OF_QUERIES, stored_instructions
from bmretriever_integrations.checkpoints.loading import load
from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.export.card import RECORD, Origin, is_export, write_card, write_record
from bmretriever_integrations.export.folder import fill
from bmretriever_integrations.files import whole_folder
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, passage_prompt, query_prompt
from bmretriever_integrations.settings import MAX_LENGTH, EncoderSettings

QUERY = "does metformin lower the risk of colorectal cancer"
PASSAGE = "Metformin use was associated with a lower incidence of colorectal cancer in adults with type 2 diabetes."
PROMPTS = (query_prompt(DEFAULT_INSTRUCTION, QUERY), passage_prompt(PASSAGE))
"""The prompts whose vectors are compared."""
BOUNDS = {"float32": 1e-5, "bfloat16": 1e-3, "float16": 1e-3}
"""The largest allowed error: the relative error for float32, 1 minus the cosine for the others (docs/correctness.md)."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The facts about a written export."""

    origin: Origin
    """The source and the settings."""
    width: int
    """Length of a vector."""
    megabytes: float
    """Size of all files, in units of 10**6 bytes."""


def export_checkpoint(
    model: str | Path,
    folder: Path,
    *,
    dtype: str = "float32",
    revision: str | None = None,
    max_length: int = MAX_LENGTH,
    normalize: bool = False,
    overwrite: bool = False,
) -> Exported:
    """
    Write a checkpoint as a sentence-transformers folder, open it again and compare its vectors with the source's.

    The source is read in float32, which takes 4 bytes of memory for each parameter. Its vectors are computed before the weights
    are rounded.

    :param model: hub id, short name, or folder. The folder may be plain, of sentence-transformers, a LoRA adapter, which is
        merged, or a checkpoint with int8 rows.
    :param folder: the folder to write. It must not exist or must be empty; with ``overwrite`` it may be an earlier export.
    :param dtype: number type of the written weights: "float32", "bfloat16" or "float16".
    :param revision: commit, branch or tag on the hub; None takes the pinned commit of a released checkpoint.
    :param max_length: tokens of a sequence, BOS and EOS included. The default takes the smaller length of a sentence-transformers
        folder.
    :param normalize: add a Normalize module. A Normalize module of the source is always kept.
    :param overwrite: replace an earlier export. It stays unchanged until the new one is complete and has been compared.
    :returns: the facts about the export, and its error against the source.
    :raises FileExistsError: if ``folder`` is a file or a folder that must not be replaced.
    :raises FileNotFoundError: if the model is not found.
    :raises OSError: if the folder cannot be written, e.g. because the disk is full. An earlier export is unchanged then, and no
        new files are left.
    :raises ValueError: if a setting is out of range, or if the vectors from the written folder differ from the source's.
    """
    import torch

    settings = EncoderSettings(model=str(model), revision=revision, dtype=dtype, max_length=max_length, device="cpu")
    known = _check_source(settings)
    _check_target(folder, Path(settings.model).expanduser() if known is None else None, overwrite)
    loaded = load(settings.model, torch.float32, revision=revision)
    settings = settings.fitted(loaded)
    max_length = settings.max_length
    normalize = normalize or loaded.normalizes
    prompts = _prompts_of_all_lengths(max_length)
    tokens = PromptTokenizer(loaded.tokenizer, max_length)
    ids, vectors = tokens(prompts), _vectors(loaded.network, tokens, normalize)
    source, commit = _name(settings, known), loaded.revision
    instructions = stored_instructions(settings.model)
    with whole_folder(folder) as draft:
        network = loaded.network.to(getattr(torch, dtype))
        fill(draft, network, loaded.tokenizer, max_length, normalize, instructions=instructions)
        del loaded, network  # because the comparison needs the memory
        _compare_ids(draft, prompts, ids)
        error, width = _compare_vectors(draft, settings, vectors)
        origin = Origin(
            source=source, revision=commit, dtype=dtype, max_length=max_length, normalize=normalize, error=error
        )
        write_card(draft, origin, known, width, instructions.get(OF_QUERIES, DEFAULT_INSTRUCTION))
        write_record(draft, origin)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Exported(origin=origin, width=width, megabytes=size / 1e6)


def _check_source(settings: EncoderSettings) -> Checkpoint | None:
    if settings.dtype not in BOUNDS:
        raise ValueError(f"dtype must be one of {', '.join(BOUNDS)} here, got {settings.dtype!r}")
    known = find_checkpoint(settings.model)
    on_hub = known.hub_id is not None if known else not Path(settings.model).expanduser().is_dir()
    if settings.revision is not None and not on_hub:
        raise ValueError(f"model {settings.model!r} is not on the hub, so it has no revision {settings.revision!r}")
    return known


def _check_target(folder: Path, source: Path | None, overwrite: bool) -> None:
    if folder.exists() and source is not None and source.is_dir() and folder.samefile(source):
        raise FileExistsError(f"{folder} is the model itself; name another folder")
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; name a folder")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not is_export(folder):
        raise FileExistsError(f"{folder} is not empty and is no earlier export (it has no {RECORD}); name a new folder")
    if not overwrite:
        raise FileExistsError(f"{folder} holds an earlier export; name a new folder, or replace it with --overwrite")


def _name(settings: EncoderSettings, known: Checkpoint | None) -> str:
    if known is not None:
        return known.hub_id or known.name
    folder = Path(settings.model).expanduser()
    return folder.resolve().name if folder.is_dir() else settings.model


def _prompts_of_all_lengths(max_length: int) -> list[str]:
    """Make the prompts whose ids are compared, with the usual errors: an empty text, outer spaces, and a text to be cut."""
    return [*PROMPTS, "", " a\n", passage_prompt(" ".join([PASSAGE] * max_length))]


def _vectors(network: Any, tokens: PromptTokenizer, normalize: bool) -> NDArray[np.float32]:
    """Run the network plainly, one prompt at a time; the vectors from the written folder are compared with these."""
    import torch

    rows = []
    for ids in tokens(PROMPTS):
        with torch.inference_mode():
            rows.append(network(input_ids=torch.tensor([ids])).last_hidden_state[0, -1].numpy())
    vectors: NDArray[np.float32] = np.stack(rows)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if normalize else vectors


def _compare_ids(folder: Path, prompts: list[str], right: list[list[int]]) -> None:
    """Compare the ids of the written tokenizer, called without our engine as other tools do, with the right ids."""
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(folder)(prompts, truncation=True)["input_ids"]
    for prompt, ours, theirs in zip(prompts, right, found, strict=True):
        if ours != theirs:
            raise ValueError(
                f"the written tokenizer gives other ids than the source's for {prompt[:40]!r}: {theirs[:4]}...{theirs[-2:]} "
                f"instead of {ours[:4]}...{ours[-2:]}. Nothing was written; use BMRetrieverEncoder with this checkpoint."
            )


def _compare_vectors(folder: Path, settings: EncoderSettings, right: NDArray[np.float32]) -> tuple[float, int]:
    from bmretriever_integrations.encoder import BMRetrieverEncoder

    options: dict[str, Any] = {"device": "cpu", "dtype": settings.dtype, "max_length": settings.max_length}
    try:
        with BMRetrieverEncoder(folder, **options) as encoder:
            found = np.concatenate([encoder.encode_queries([QUERY]), encoder.encode_passages([PASSAGE])])
    except FloatingPointError as overflow:
        raise ValueError(
            f"in {settings.dtype} the vectors of {settings.model} are not finite; use bfloat16 or float32"
        ) from overflow
    lengths = np.linalg.norm(right, axis=1)
    if settings.dtype == "float32":
        errors = np.linalg.norm(found - right, axis=1) / lengths
    else:
        errors = 1 - (found * right).sum(axis=1) / lengths / np.linalg.norm(found, axis=1)
    error = float(np.maximum(errors, 0).max())
    if not error <= BOUNDS[settings.dtype]:
        raise ValueError(
            f"the written folder's vectors differ from the source's by {error:.1e} (allowed: {BOUNDS[settings.dtype]:.0e}). "
            "Nothing was written; use float32, or BMRetrieverEncoder with this checkpoint."
        )
    return error, found.shape[1]
