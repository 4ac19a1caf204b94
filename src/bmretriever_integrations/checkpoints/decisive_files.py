"""List the files of a checkpoint's folder that decide its vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bmretriever_integrations.artefacts import SMOLLM2_GGUF

VOCABULARY_FILES = (
    "tokenizer.json",
    "tokenizer.*.json",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
    "*.model",
    "*.tiktoken",
)
"""Patterns of the files that hold a tokenizer's vocabulary; a tokenizer needs at least one of them."""
TOKENIZER_FILES = (
    *VOCABULARY_FILES,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
)
"""Patterns of all files from which transformers builds a tokenizer."""
INT8_ADAPTER = "adapter_model.int8.safetensors"
"""Name of the weights of an adapter in int8."""
SMOLLM2_FILE = Path(SMOLLM2_GGUF.member).name
"""Name of the file that holds the base of "small", network and tokenizer."""
OTHER_FILES = (
    "config.json",
    "model.int8.safetensors",
    INT8_ADAPTER,
    SMOLLM2_FILE,
    "adapter_config.json",
    "adapter_model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
)
"""The other files that decide vectors, besides the weights of a plain checkpoint."""
SINGLE_FILE = "model.safetensors"
"""Name of the weights in one file; transformers prefers it to an index."""
INDEX = "model.safetensors.index.json"
"""Name of the file that lists the files of weights in several parts."""


def read_json(path: Path) -> Any:
    """
    Read a JSON file of a checkpoint.

    :param path: the file.
    :returns: its content.
    :raises ValueError: if it is not JSON in UTF-8, or is nested too deeply; the message names the file.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ValueError(f"{path} is not valid JSON ({reason}); copy or download it again") from error


def read_object(path: Path) -> dict[str, Any]:
    """
    Read a JSON file that must hold one object.

    :param path: the file.
    :returns: the object.
    :raises ValueError: as :func:`read_json`, and if the file holds something else.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, it holds a {type(content).__name__}")
    return content


def weight_files(folder: Path) -> list[Path]:
    """
    List the files that hold the weights of a plain checkpoint.

    :param folder: the checkpoint's folder.
    :returns: the one file, or the index and the parts that it names; nothing if the folder has neither.
    :raises ValueError: if the index names a file that is not a ``.safetensors`` file directly in the folder.
    :raises FileNotFoundError: if the index names a file that is missing.
    """
    if (folder / SINGLE_FILE).is_file():
        return [folder / SINGLE_FILE]
    if not (folder / INDEX).is_file():
        return []
    listed = read_object(folder / INDEX).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise ValueError(f"{folder / INDEX} has no weight_map, which names the file of each weight")
    names = sorted({str(name) for name in listed.values()})
    for name in names:
        if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
            raise ValueError(
                f"{folder / INDEX} names the weights {name!r}; only .safetensors files in the same folder are loaded, because "
                "pickled weights (.bin, .pt) can run code"
            )
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} is incomplete: {len(missing)} of {len(names)} files with weights are missing, e.g. {missing[0]}; "
            "download or copy it again"
        )
    return [folder / INDEX, *(folder / name for name in names)]


def decisive_files(folder: Path) -> list[Path]:
    """
    List the files that decide a checkpoint's vectors. Descriptions and settings of generation and of training are not among them.

    :param folder: the checkpoint's folder, in any of the layouts that :func:`~bmretriever_integrations.checkpoints.loading.load`
        takes. The files of an adapter's base are not listed.
    :returns: the files, sorted by path, without duplicates.
    :raises ValueError: if modules.json or an index of weights cannot be read, or names files outside of the folder.
    :raises FileNotFoundError: if an index names a file that is missing.
    """
    found = {folder / name for name in OTHER_FILES if (folder / name).is_file()}
    for pattern in TOKENIZER_FILES:
        found.update(path for path in folder.glob(pattern) if path.is_file())
    found.update(weight_files(folder))
    for inner in module_folders(folder):
        found.update([inner / "config.json"] if (inner / "config.json").is_file() else [])
        if inner != folder and any((inner / name).is_file() for name in ("adapter_config.json", SINGLE_FILE, INDEX)):
            found.update(decisive_files(inner))
    return sorted(found)


def module_folders(folder: Path) -> list[Path]:
    """
    List the folders of the modules of a sentence-transformers folder.

    :param folder: the folder; without modules.json it has no modules.
    :returns: the modules' folders in their order.
    :raises ValueError: if modules.json is not a list of modules with a type and a path inside the folder.
    """
    path = folder / "modules.json"
    if not path.is_file():
        return []
    modules = read_json(path)
    if not isinstance(modules, list):
        raise ValueError(f"{path} must hold a list of modules, it holds a {type(modules).__name__}")
    for module in modules:
        if not isinstance(module, dict) or not all(isinstance(module.get(key), str) for key in ("type", "path")):
            raise ValueError(f"{path}: every module needs a type and a path, got {module!r:.200}")
        if Path(module["path"]).is_absolute() or ".." in Path(module["path"]).parts:
            raise ValueError(f"{path}: the path of a module must lie inside the folder, got {module['path']!r}")
    return [folder / module["path"] for module in modules]
