"""Load a network and its tokenizer by a model's name or folder. A folder may have one of four layouts."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bmretriever_integrations.checkpoints import CHECKPOINTS, find_checkpoint
from bmretriever_integrations.checkpoints.int8_storage import embedded_folder, open_embedded
from bmretriever_integrations.checkpoints.one_at_a_time import transformers_alone

WANTED_FILES = ["*.json", "*.safetensors", "*.model", "*.txt"]
"""Patterns of the files that are downloaded from the hub."""
UNWANTED_FILES = ["onnx/*", "openvino/*", "*.onnx", "trainer/*"]
"""Patterns of files that are not downloaded even where the first patterns match."""


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


@dataclass(frozen=True)
class _Hub:
    """The options for requests to the hub."""

    token: str | None
    local_files_only: bool


def load(
    model: str,
    dtype: Any,
    *,
    revision: str | None = None,
    token: str | None = None,
    local_files_only: bool = False,
    progress: bool = False,
) -> Loaded:
    """
    Load a checkpoint.

    :param model: a short name, a hub id or a folder.
    :param dtype: number type of the weights, a ``torch.dtype``.
    :param revision: commit, branch or tag on the hub; None takes the pinned commit of a released checkpoint.
    :param token: access token for the hub.
    :param local_files_only: do not connect to the hub.
    :param progress: let transformers show its progress bar while it reads the weights.
    :raises FileNotFoundError: if the model is neither on this machine nor on the hub, or the hub cannot be reached.
    :raises ValueError: if the folder is not a checkpoint with last-token pooling, or has no safetensors weights.
    """
    hub = _Hub(token, local_files_only)
    known = find_checkpoint(model)
    if known is not None and known.hub_id is None:
        with transformers_alone(bars=progress):
            network, tokenizer = open_embedded(embedded_folder())
        return Loaded(network.to(dtype), tokenizer, (embedded_folder(),), None)
    folder = Path(model).expanduser()
    if folder.is_dir():
        with transformers_alone(bars=progress):
            return _load_folder(folder, dtype, hub, None)
    hub_id = known.hub_id if known and known.hub_id else model
    if hub_id.count("/") != 1 or hub_id.startswith((".", "/", "~")):
        names = ", ".join(repr(checkpoint.name) for checkpoint in CHECKPOINTS)
        raise FileNotFoundError(f"model {model!r} is no folder, no hub id (owner/name) and none of {names}")
    folder = _download(hub_id, revision or (known.revision if known else None), hub)
    with transformers_alone(bars=progress):
        return _load_folder(folder, dtype, hub, folder.name)  # the name of a snapshot's folder is its commit


def _download(hub_id: str, revision: str | None, hub: _Hub) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                hub_id,
                revision=revision,
                token=hub.token,
                local_files_only=hub.local_files_only,
                allow_patterns=WANTED_FILES,
                ignore_patterns=UNWANTED_FILES,
            )
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FileNotFoundError(
            f"model {hub_id!r} (revision {revision or 'newest'}) is not in the local cache and could not be fetched: "
            f"{reason} Check the name and the connection, pass the folder of a copy, or use model='mini', which needs no "
            "download."
        ) from error


def _load_folder(folder: Path, dtype: Any, hub: _Hub, revision: str | None) -> Loaded:
    if (folder / "modules.json").is_file():
        return _load_sentence_transformer(folder, dtype, hub, revision)
    if (folder / "adapter_config.json").is_file():
        return _load_adapter(folder, dtype, hub, revision)
    if (folder / "model.int8.safetensors").is_file():
        network, tokenizer = open_embedded(folder)
        return Loaded(network.to(dtype), tokenizer, (folder,), revision)
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder} is no checkpoint: it has no config.json, adapter_config.json or modules.json. It holds: "
            f"{', '.join(sorted(p.name for p in folder.iterdir())[:8]) or 'nothing'}."
        )
    return Loaded(_network(folder, dtype), _tokenizer(folder), (folder,), revision)


def _network(folder: Path, dtype: Any) -> Any:
    from transformers import AutoModel

    if not any(folder.glob("*.safetensors")):
        raise ValueError(
            f"{folder} has no *.safetensors weights. Pickled weights (.bin, .pt) can run code and are not loaded; convert "
            "them once with save_pretrained(..., safe_serialization=True)."
        )
    network, report = AutoModel.from_pretrained(
        folder,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(f"{folder}: {len(missing)} weights are missing, e.g. {missing[0]}; they would be random")
    return network.eval()


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


def _load_sentence_transformer(folder: Path, dtype: Any, hub: _Hub, revision: str | None) -> Loaded:
    """Load a folder of sentence-transformers. Its modules must be a network, last-token pooling and perhaps Normalize."""
    inner, normalizes = _read_modules(folder)
    if (inner / "adapter_config.json").is_file():
        loaded = _load_adapter(inner, dtype, hub, revision)
        return replace(loaded, normalizes=normalizes)
    return Loaded(_network(inner, dtype), _tokenizer(inner), (inner,), revision, normalizes)


def _read_modules(folder: Path) -> tuple[Path, bool]:
    """Find the folder of the network, and whether the vectors are normalised."""
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        raise ValueError(
            f"{folder}: this engine does not run the modules {', '.join(kinds)}; it takes Transformer, Pooling and perhaps "
            "Normalize. Use sentence-transformers for other models."
        )
    pooling = json.loads((folder / modules[1]["path"] / "config.json").read_text(encoding="utf-8"))
    mode = pooling.get("pooling_mode")
    if mode not in ("lasttoken", ["lasttoken"]) and not pooling.get("pooling_mode_lasttoken", False):
        chosen = mode or [name for name, value in pooling.items() if name.startswith("pooling_mode") and value is True]
        raise ValueError(
            f"{folder}: its pooling is {chosen}, not lasttoken. If the weights were trained with last-token pooling, point to "
            f"the plain checkpoint inside, or set lasttoken in {modules[1]['path']}/config.json."
        )
    return folder / modules[0]["path"], "Normalize" in kinds


def _load_adapter(folder: Path, dtype: Any, hub: _Hub, revision: str | None) -> Loaded:
    from bmretriever_integrations.checkpoints.lora import base_of_adapter, merge_adapter

    loaded = load(base_of_adapter(folder), dtype, token=hub.token, local_files_only=hub.local_files_only)
    tokenizer = _tokenizer(folder) if (folder / "tokenizer.json").is_file() else loaded.tokenizer
    network = merge_adapter(loaded.network, folder)
    return Loaded(network, tokenizer, (folder, *loaded.folders), revision, loaded.normalizes)
