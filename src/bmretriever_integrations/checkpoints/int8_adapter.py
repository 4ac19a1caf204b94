"""Merge a LoRA adapter with int8 weights into its base, without peft."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.checkpoints.decisive_files import INT8_ADAPTER, read_object
from bmretriever_integrations.checkpoints.int8_storage import unpack
from bmretriever_integrations.checkpoints.lora import WRAPPED
from bmretriever_integrations.checkpoints.network import convert

if TYPE_CHECKING:
    from torch import Tensor

FIRST, SECOND = ".lora_A.weight", ".lora_B.weight"
"""Ends of the names of a layer's two factors."""


def is_int8_adapter(folder: Path) -> bool:
    """
    Tell whether a folder holds an adapter that :func:`~bmretriever_integrations.export.int8_adapter.pack_adapter` wrote.

    :param folder: a checkpoint's folder.
    """
    return (folder / INT8_ADAPTER).is_file()


def merge_int8_adapter(network: Any, folder: Path, dtype: Any) -> Any:
    """
    Merge an adapter into its base, with the operations of peft and in their order, so that no bit differs.

    Each weight is merged in float32 and then rounded once.

    :param network: the base, without head, in the number type of its files; it is changed.
    :param folder: the adapter's folder.
    :param dtype: number type of the merged network.
    :returns: the merged network in eval mode.
    :raises ValueError: if the weights are damaged or do not fit the base.
    """
    try:
        factors = read_factors(folder)
        config = read_object(folder / "adapter_config.json")
        strength = config["lora_alpha"] / config["r"]
        for name in {name.removesuffix(FIRST).removesuffix(SECOND) for name in factors}:
            weight = network.get_submodule(name.removeprefix(WRAPPED)).weight
            weight.data = (weight.data.float() + (factors[name + SECOND] @ factors[name + FIRST]) * strength).to(dtype)
    except (AttributeError, KeyError, RuntimeError, TypeError, ZeroDivisionError) as error:
        raise ValueError(
            f"{folder}: the adapter is damaged or does not fit its base {type(network).__name__} ({type(error).__name__}: "
            f"{error}); copy it again, and check base_model_name_or_path in adapter_config.json"
        ) from error
    return convert(network, dtype).eval()


def read_factors(folder: Path) -> dict[str, Tensor]:
    """
    Read the factors of an adapter with int8 weights.

    :param folder: the adapter's folder.
    :returns: a dict of peft's names of weights and float32 tensors, of the shapes (rank, inputs) and (outputs, rank).
    :raises ValueError: if the file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return unpack(load_file(folder / INT8_ADAPTER))
    except SafetensorError as error:
        raise ValueError(f"{folder / INT8_ADAPTER} is damaged or incomplete ({error}); copy it again") from error
