"""Load a network and its tokenizer by a model's name or folder. A folder may have one of five layouts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bmretriever_integrations.checkpoints.catalogue import find_checkpoint
from bmretriever_integrations.checkpoints.config_files import check_config_files, check_is_checkpoint
from bmretriever_integrations.checkpoints.decisive_files import SMOLLM2_FILE
from bmretriever_integrations.checkpoints.hub import Hub, check_hub_id, download, snapshot_of
from bmretriever_integrations.checkpoints.int8_adapter import is_int8_adapter, merge_int8_adapter
from bmretriever_integrations.checkpoints.int8_storage import embedded_folder, open_embedded
from bmretriever_integrations.checkpoints.lora import merge_adapter, read_base
from bmretriever_integrations.checkpoints.network import convert, copy_weights, embedding_rows, load_network
from bmretriever_integrations.checkpoints.one_at_a_time import transformers_alone
from bmretriever_integrations.checkpoints.sentence_transformer import read_modules
from bmretriever_integrations.checkpoints.smollm2 import SMOLLM2, find_smollm2, is_smollm2, open_smollm2
from bmretriever_integrations.checkpoints.tokenizer import check_tokenizer, has_tokenizer, load_tokenizer


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory, in the requested dtype, on the CPU, in eval mode."""

    network: Any
    """A decoder of transformers without head."""
    tokenizer: Any
    """A tokenizer of transformers."""
    folders: tuple[Path, ...]
    """The checkpoint's folder, followed by its base's folder where the checkpoint is an adapter."""
    revision: str | None
    """Commit on the hub; None for a folder."""
    normalizes: bool = False
    """Whether a sentence-transformers folder ends in a Normalize module."""
    max_length: int | None = None
    """Tokens of a sequence in the settings of a sentence-transformers folder; None if there are none."""
    truncate_dim: int | None = None
    """Leading dimensions that the settings of a sentence-transformers folder keep; None for all. The network has all of them."""


@dataclass(frozen=True)
class _How:
    """What all steps of one load have in common."""

    dtype: Any
    """Number type of the weights; None for that of the files, which only a base is loaded in."""
    mapped: bool
    """Whether weights may stay mapped to their file."""
    hub: Hub
    progress: bool
    adapters: tuple[Path, ...] = ()
    """The adapters whose base is being loaded."""


def load(
    model: str,
    dtype: Any,
    *,
    revision: str | None = None,
    token: str | None = None,
    local_files_only: bool = False,
    progress: bool = False,
    mapped: bool = False,
) -> Loaded:
    """
    Load a checkpoint.

    :param model: a short name, a hub id or a folder.
    :param dtype: number type of the weights, a ``torch.dtype``.
    :param revision: commit, branch or tag on the hub; None takes the pinned commit of a released checkpoint.
    :param token: access token for the hub.
    :param local_files_only: do not connect to the hub.
    :param progress: let transformers show its progress bar while it reads the weights.
    :param mapped: whether weights may stay mapped to their file, which saves memory where they are copied to another device next.
        A change of the file would change a network that is used in place.
    :raises FileNotFoundError: if the model is neither on this machine nor on the hub, or the hub cannot be reached.
    :raises ValueError: if the folder is not a checkpoint with last-token pooling, has no safetensors weights or no tokenizer, is
        damaged, or has settings that could bring code in.
    """
    return _load(model, revision, _How(dtype, mapped, Hub(token, local_files_only), progress))


def _load(model: str, revision: str | None, how: _How) -> Loaded:
    folder, commit = find_folder(model, revision, how.hub)
    with transformers_alone(bars=how.progress):
        return _load_folder(folder, commit, how)


def find_folder(model: str, revision: str | None, hub: Hub) -> tuple[Path, str | None]:
    """
    Find a checkpoint's folder, and download the checkpoint if it is not on this machine.

    :param model: a short name, a hub id or a folder.
    :param revision: commit, branch or tag on the hub; None takes the pinned commit of a released checkpoint.
    :param hub: the options for requests to the hub.
    :returns: the folder, and the commit; None as the commit of a folder that the user named.
    :raises FileNotFoundError: if the model is neither on this machine nor on the hub, or the hub cannot be reached.
    """
    known = find_checkpoint(model)
    if known is not None and known.hub_id is None:
        return embedded_folder(known.name), None
    if model == SMOLLM2:
        return find_smollm2(), None
    folder = Path(model).expanduser()
    if folder.is_dir():
        return snapshot_of(folder), None
    hub_id = known.hub_id if known and known.hub_id else model
    check_hub_id(hub_id)
    folder = download(hub_id, revision or (known.revision if known else None), hub)
    return folder, folder.name  # the name of a snapshot's folder is its commit


def _load_folder(folder: Path, revision: str | None, how: _How) -> Loaded:
    if (folder / "modules.json").is_file():
        return _load_sentence_transformer(folder, revision, how)
    if (folder / "adapter_config.json").is_file():
        return _load_adapter(folder, revision, how)
    if (folder / "model.int8.safetensors").is_file():
        return _load_int8(folder, revision, how)
    if is_smollm2(folder):
        network, tokenizer = open_smollm2(folder / SMOLLM2_FILE)
        return Loaded(network if how.dtype is None else convert(network, how.dtype), tokenizer, (folder,), revision)
    return _load_plain(folder, revision, how)


def _load_int8(folder: Path, revision: str | None, how: _How) -> Loaded:
    check_config_files(folder)
    network = open_embedded(folder)
    return _complete(network if how.dtype is None else convert(network, how.dtype), folder, revision)


def _load_plain(folder: Path, revision: str | None, how: _How) -> Loaded:
    check_is_checkpoint(folder)
    check_config_files(folder)
    return _complete(load_network(folder, how.dtype, how.mapped), folder, revision)


def _complete(network: Any, folder: Path, revision: str | None) -> Loaded:
    tokenizer = load_tokenizer(folder)
    check_tokenizer(tokenizer, embedding_rows(network), folder)
    return Loaded(network, tokenizer, (folder,), revision)


def _load_sentence_transformer(folder: Path, revision: str | None, how: _How) -> Loaded:
    modules = read_modules(folder)
    inner = modules.network
    adapter = (inner / "adapter_config.json").is_file()
    loaded = _load_adapter(inner, revision, how) if adapter else _load_plain(inner, revision, how)
    return replace(
        loaded,
        folders=(folder, *loaded.folders[1:]),
        normalizes=modules.normalizes,
        max_length=modules.max_length,
        truncate_dim=modules.truncate_dim,
    )


def _load_adapter(folder: Path, revision: str | None, how: _How) -> Loaded:
    base = read_base(folder)
    check_config_files(folder)
    if folder.resolve() in how.adapters:
        raise ValueError(f"{folder}: this adapter is its own base (base_model_name_or_path in adapter_config.json)")
    inner = replace(how, dtype=None, mapped=True, adapters=(*how.adapters, folder.resolve()))
    try:
        loaded = _load(base.model, base.revision, inner)
    except FileNotFoundError as error:
        if base.model == SMOLLM2:
            raise FileNotFoundError(f"the base of the adapter {folder} is missing: {error}") from error
        raise FileNotFoundError(
            f"the base of the adapter {folder} cannot be loaded: {error} If the base lies elsewhere on this machine, write its "
            f"folder into base_model_name_or_path of {folder / 'adapter_config.json'}."
        ) from error
    import torch

    merge = merge_int8_adapter if is_int8_adapter(folder) else merge_adapter
    network = merge(loaded.network, folder, how.dtype or torch.float32)
    tokenizer = load_tokenizer(folder) if has_tokenizer(folder) else loaded.tokenizer
    check_tokenizer(tokenizer, embedding_rows(network), folder)
    if not how.mapped:
        copy_weights(network)
    # what a base of sentence-transformers asks for holds for its adapters, too
    return replace(loaded, network=network, tokenizer=tokenizer, folders=(folder, *loaded.folders), revision=revision)
