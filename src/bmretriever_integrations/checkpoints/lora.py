"""Merge a LoRA adapter into its base, with peft."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def base_of_adapter(folder: Path) -> str:
    """
    Read which base an adapter was trained on.

    :param folder: the adapter's folder.
    :returns: a hub id or a path. A relative path that exists inside the adapter's folder is taken from there, because adapter
        and base may have been copied together.
    """
    base: str = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    return str(folder / base) if (folder / base).is_dir() else base


def merge_adapter(network: Any, folder: Path) -> Any:
    """
    Merge an adapter into its base. It raises the same errors as :func:`attach_adapter`.

    :param network: the base, without head.
    :param folder: the adapter's folder.
    :returns: the merged network in eval mode.
    """
    return attach_adapter(network, folder, is_trainable=False).merge_and_unload().eval()


def attach_adapter(network: Any, folder: Path, *, is_trainable: bool) -> Any:
    """
    Attach an adapter to its base.

    When an adapter's weights do not fit the base, peft only warns and the vectors are those of the base; here that is an error.
    The weight names of adapters that were trained with the language head contain ``model.`` before the decoder's names; that part
    is removed.

    :param network: the base, without head.
    :param folder: the adapter's folder (adapter_config.json and adapter_model.safetensors).
    :param is_trainable: whether the adapter's weights are to be trained further.
    :returns: the network, wrapped by peft.
    :raises ImportError: if peft is not installed.
    :raises ValueError: if the weights do not fit the base.
    """
    try:
        from peft import PeftConfig, get_peft_model, set_peft_model_state_dict
    except ImportError as error:
        raise ImportError(
            f"{folder} is a LoRA adapter: run 'pip install \"bmretriever-integrations[train]\"' for peft"
        ) from error
    from safetensors.torch import load_file

    weights = folder / "adapter_model.safetensors"
    if not weights.is_file():
        raise ValueError(f"{folder} has no adapter_model.safetensors; pickled adapters (.bin) are not loaded")
    headed = "base_model.model.model."
    state = {
        "base_model.model." + name.removeprefix(headed) if name.startswith(headed) else name: tensor
        for name, tensor in load_file(weights).items()
    }
    config = PeftConfig.from_pretrained(str(folder))
    config.inference_mode = not is_trainable
    config.task_type = None  # the base has no head, whatever task the adapter was trained for
    wrapped = get_peft_model(network, config)
    report = set_peft_model_state_dict(wrapped, state)
    absent = [name for name in report.missing_keys if "lora_" in name]
    if report.unexpected_keys or absent:
        example = (list(report.unexpected_keys) or absent)[0]
        raise ValueError(
            f"{folder}: the adapter does not fit its base {type(network).__name__} ({len(report.unexpected_keys)} weights "
            f"are unknown to the base, {len(absent)} weights are missing, e.g. {example}); check base_model_name_or_path"
        )
    return wrapped
