"""Find the folders that a model's name stands for on this machine, without network and without loading weights."""

from __future__ import annotations

from pathlib import Path

from bmretriever_integrations.checkpoints import find_checkpoint
from bmretriever_integrations.checkpoints.decisive_files import module_folders
from bmretriever_integrations.checkpoints.hub import snapshot_of
from bmretriever_integrations.checkpoints.int8_storage import embedded_folder
from bmretriever_integrations.checkpoints.lora import read_base
from bmretriever_integrations.checkpoints.smollm2 import SMOLLM2, find_smollm2

MOST_ADAPTERS = 8
"""The longest chain of adapters, each of which has the next one as its base."""


def folders_on_disk(model: str, revision: str | None = None, _adapters: int = 0) -> tuple[Path, ...] | None:
    """
    Find the folders from which :func:`~bmretriever_integrations.checkpoints.loading.load` would read a model.

    :param model: a short name, a hub id or a folder.
    :param revision: commit, branch or tag on the hub; None takes the pinned commit of a released checkpoint.
    :returns: the checkpoint's folder, followed by its base's folders where it is an adapter; None if one of them is not on this
        machine.
    """
    folder = _folder(model, revision)
    if folder is None or _adapters > MOST_ADAPTERS:
        return None
    inner = next(iter(module_folders(folder)), folder)
    if not (inner / "adapter_config.json").is_file():
        return (folder,)
    base = read_base(inner)
    folders = folders_on_disk(base.model, base.revision, _adapters + 1)
    return None if folders is None else (folder, *folders)


def _folder(model: str, revision: str | None) -> Path | None:
    known = find_checkpoint(model)
    try:
        if known is not None and known.hub_id is None:
            return embedded_folder(known.name)
        if model == SMOLLM2:
            return find_smollm2()
    except FileNotFoundError:
        return None
    folder = Path(model).expanduser()
    if folder.is_dir():
        return snapshot_of(folder)
    return _cached_snapshot(known.hub_id if known else model, revision or (known.revision if known else None))


def _cached_snapshot(hub_id: str | None, revision: str | None) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id or "", revision=revision, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        return None
