"""Refuse settings files of a checkpoint that can bring code, fetch other repositories, or name weights of other kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bmretriever_integrations.checkpoints.decisive_files import read_object

IMPLEMENTATIONS = ("eager", "sdpa", "grouped_mm", "batched_mm")
"""Values of keys such as ``attn_implementation`` for which transformers imports nothing from the hub. With the kernels package,
it fetches and imports repositories that other values name, and for "flash_attention_2" one of its own choice."""
REFUSED = {
    "transformers_weights": "names a file of weights; only model.safetensors or the files of its index are loaded",
    "quantization_config": "says that the weights are quantised; only float32, bfloat16 and float16 weights are loaded. Use the "
    "unquantised checkpoint, and quantization='int8' or 'fp8' where 8 bits are wanted",
    "compression_config": "says that the weights are compressed; use the uncompressed checkpoint",
}
"""Keys of config.json that are refused, and why."""


def check_is_checkpoint(folder: Path) -> None:
    """
    Refuse a folder that holds no network.

    :param folder: the folder.
    :raises ValueError: if it has no config.json; the message says what it holds.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder} is no checkpoint: it has no config.json, adapter_config.json or modules.json. It holds: "
            f"{', '.join(sorted(p.name for p in folder.iterdir())[:8]) or 'nothing'}."
        )


def check_config_files(folder: Path) -> None:
    """
    Check config.json and tokenizer_config.json before transformers reads them.

    ``auto_map`` needs no check: without ``trust_remote_code`` transformers does not follow it.

    :param folder: a checkpoint's folder.
    :raises ValueError: if one of the files is not a JSON object, has a key through which transformers would import code from the
        hub or read other weights, or if config.json is not that of a decoder that transformers has.
    """
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        if not path.is_file():
            continue
        for key, value in _pairs(read_object(path)):
            if key.endswith("_implementation") or key.endswith("_implementation_internal"):
                _check_implementation(path, key, value)
            if name == "config.json" and key in REFUSED and value is not None:
                raise ValueError(f"{path}: the key {key!r} {REFUSED[key]}")
    if (folder / "config.json").is_file():
        _check_model_type(folder / "config.json")


def _check_implementation(path: Path, key: str, value: Any) -> None:
    for chosen in value.values() if isinstance(value, dict) else [value]:
        if chosen is not None and chosen not in IMPLEMENTATIONS:
            raise ValueError(
                f"{path}: the key {key!r} asks for {chosen!r}, for which code may be fetched from the hub and run; allowed are "
                f"{', '.join(IMPLEMENTATIONS)}. Remove the key"
            )


def _check_model_type(path: Path) -> None:
    """Refuse networks that are no decoders; some of them fetch a second network that their config names."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = read_object(path).get("model_type")
    if not isinstance(kind, str) or kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ValueError(
            f"{path}: model_type {kind!r} is no decoder that transformers has; BMRetriever's are gpt_neox, gemma and mistral"
        )


def _pairs(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key and its value, at any depth."""
    waiting = [content]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield from part.items()
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
