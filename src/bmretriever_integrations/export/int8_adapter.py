"""Write a copy of a LoRA adapter with int8 weights and one float32 scale for each direction of its rank."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.checkpoints.decisive_files import INT8_ADAPTER, read_object
from bmretriever_integrations.checkpoints.instructions import PROMPTS
from bmretriever_integrations.checkpoints.int8_adapter import FIRST, SECOND
from bmretriever_integrations.checkpoints.int8_storage import SCALE, quantize_rows
from bmretriever_integrations.checkpoints.lora import read_base
from bmretriever_integrations.export.folder import write_json, write_modules
from bmretriever_integrations.settings import MAX_LENGTH

if TYPE_CHECKING:
    from torch import Tensor

PLAIN: dict[str, Any] = {
    "alpha_pattern": {},
    "bias": "none",
    "fan_in_fan_out": False,
    "lora_bias": False,
    "modules_to_save": None,
    "rank_pattern": {},
    "use_dora": False,
    "use_rslora": False,
}
"""Keys of adapter_config.json that ask for more than the product of two factors, and the values that do not."""
KEPT = ("peft_type", "r", "lora_alpha")
"""The keys that the copy keeps, besides target_modules."""


def pack_adapter(adapter: Path, folder: Path, base: str, *, normalize: bool) -> float:
    """
    Write a copy of a LoRA adapter with int8 weights, as a folder that loads by its path.

    :param adapter: the folder that peft wrote: adapter_config.json and adapter_model.safetensors; its prompts are kept.
    :param folder: the folder to write; it must not exist, or must be empty.
    :param base: what the copy names as its base: a short name, a hub id or a path.
    :param normalize: whether the checkpoint scales its vectors to length 1.
    :returns: the largest relative error of a factor: the norm of its rounding error over its own.
    :raises FileExistsError: if ``folder`` is not empty.
    :raises FileNotFoundError: if a file of the adapter is missing.
    :raises ValueError: if it is no LoRA adapter of one rank on linear layers alone.
    """
    from safetensors.torch import load_file, save_file

    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    config = _plain_config(adapter)
    factors = load_file(adapter / "adapter_model.safetensors")
    other = [name for name in factors if not name.endswith((FIRST, SECOND))]
    if other:
        raise ValueError(f"{adapter}: only factors of linear layers are stored in int8, and {other[0]} is none of them")
    small: dict[str, Tensor] = {}
    for name, tensor in factors.items():
        small |= _quantize(name, tensor)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(small, folder / INT8_ADAPTER, metadata={"format": "pt"})
    (folder / INT8_ADAPTER).chmod(0o644)  # safetensors lets only the owner read its files
    write_json(folder / "adapter_config.json", {**config, "base_model_name_or_path": base})
    write_modules(folder, None, MAX_LENGTH, normalize)
    if (adapter / PROMPTS).is_file():
        shutil.copy(adapter / PROMPTS, folder)
    return max(_error(tensor, small[name], small[name + SCALE]) for name, tensor in factors.items())


def _plain_config(adapter: Path) -> dict[str, Any]:
    """Read the settings that a plain LoRA adapter has, and refuse others."""
    read_base(adapter)
    path = adapter / "adapter_config.json"
    config = read_object(path)
    for key, plain in PLAIN.items():
        if config.get(key, plain) not in (plain, None):
            raise ValueError(
                f"{path}: {key} is {config[key]!r}, and only adapters with {plain!r} are stored in int8; keep this one as it is"
            )
    return {key: config[key] for key in KEPT} | {"target_modules": sorted(config["target_modules"])}


def _quantize(name: str, factor: Tensor) -> dict[str, Tensor]:
    """Give each direction of the rank one scale: a row of the first factor, a column of the second."""
    if name.endswith(FIRST):
        return quantize_rows(name, factor)
    return {key: tensor.T.contiguous() for key, tensor in quantize_rows(name, factor.T).items()}


def _error(factor: Tensor, rounded: Tensor, scale: Tensor) -> float:
    exact = factor.float()
    return float((rounded * scale - exact).norm() / exact.norm().clamp_min(1e-12))
