"""Read the settings of a sentence-transformers folder, and refuse those that this engine does not honour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmretriever_integrations.checkpoints.decisive_files import module_folders, read_json, read_object
from bmretriever_integrations.prompts import PASSAGE_PREFIX

UNLIMITED = 1_000_000
"""Values of a tokenizer's ``model_max_length`` above this one mean that there is no limit."""


@dataclass(frozen=True)
class Modules:
    """What the files of a sentence-transformers folder say."""

    network: Path
    """The folder of the network and its tokenizer."""
    normalizes: bool
    """Whether the vectors are scaled to length 1."""
    max_length: int | None
    """Tokens of a sequence, special tokens included; None if the folder does not limit them."""
    truncate_dim: int | None
    """The number of leading dimensions that sentence-transformers keeps; None for all."""


def read_modules(folder: Path) -> Modules:
    """
    Read a sentence-transformers folder. Its modules must be a network, last-token pooling and perhaps Normalize.

    :param folder: a folder with modules.json.
    :returns: the folder of the network, and the settings.
    :raises ValueError: if a file is damaged or missing, or if it asks for something that this engine does not do.
    """
    folders = module_folders(folder)
    kinds = [module["type"].rsplit(".", 1)[-1] for module in read_json(folder / "modules.json")]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        raise ValueError(
            f"{folder}: this engine does not run the modules {', '.join(kinds)}; it takes Transformer, Pooling and perhaps "
            "Normalize. Use sentence-transformers for other models."
        )
    _check_pooling(folders[1] / "config.json")
    whole = _optional(folder / "config_sentence_transformers.json")
    _check_prompts(folder / "config_sentence_transformers.json", whole.get("prompts"))
    inner = folders[0]
    settings = _optional(inner / "sentence_bert_config.json")
    if settings.get("do_lower_case"):
        raise ValueError(
            f"{inner / 'sentence_bert_config.json'}: do_lower_case is true, and this engine does not change letters; use "
            "sentence-transformers, or set it to false if the network was trained without it"
        )
    length = settings.get("max_seq_length") or _optional(inner / "tokenizer_config.json").get("model_max_length")
    limit = int(length) if length is not None and length < UNLIMITED else None
    return Modules(inner, "Normalize" in kinds, limit, whole.get("truncate_dim"))


def _optional(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}


def _check_pooling(path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"{path} is missing, so the pooling is not known; copy or download the whole folder")
    pooling = read_object(path)
    mode = pooling.get("pooling_mode")
    named = [mode] if isinstance(mode, str) else list(mode or [])
    prefix = "pooling_mode_"
    named += [name.removeprefix(prefix) for name, value in pooling.items() if name.startswith(prefix) and value is True]
    if set(named) != {"lasttoken"}:
        raise ValueError(
            f"{path}: its pooling is {', '.join(sorted(set(named))) or 'not named'}, not lasttoken. If the weights were trained "
            "with last-token pooling, point to the plain checkpoint inside, or set lasttoken in this file."
        )


def _check_prompts(path: Path, prompts: Any) -> None:
    """Refuse a model that was trained with other templates; empty prompts are what sentence-transformers writes by itself."""
    for name, prompt in prompts.items() if isinstance(prompts, dict) else ():
        passage = name in ("document", "passage")
        if prompt and (
            (passage and prompt != PASSAGE_PREFIX) or (name == "query" and not prompt.endswith("\nQuery: "))
        ):
            raise ValueError(
                f"{path}: the prompt {name!r} is {prompt!r}, which is not BMRetriever's template; vectors with BMRetriever's "
                "templates would not be those of this model. Use sentence-transformers, or remove the prompt"
            )
